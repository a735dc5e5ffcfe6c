"""The envelope in which the platform's worker calls an action, `{"body", "headers"}`, and what is answered in one.

The rules are those of the platform's SDK. What an action raises leaves the message as it came.
"""

import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from connectors import Forward, Limited, Message, Outcome, Page, Repeat, Stop, Trash
from worker.pipeline.settle import own_headers, own_messages
from worker.protocol import headers as h
from worker.service.failures import ActionFailed
from worker.service.http import Reply, Request, json_reply, read_json

SUCCESS: Final = "Processed successfully."
_LINE_END = re.compile(r"\r?\n|\r")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as a caller sends it."""

    headers: Mapping[str, Any]
    body: Any
    """Mostly text. What is none goes back as it came."""

    @property
    def text(self) -> str:
        """The body as an action reads it; one that is no text reads as in the platform's SDK."""
        return self.body if isinstance(self.body, str) else _as_text(self.body)


def read_envelope(data: object) -> Envelope:
    """Return the message in a request; what is missing or empty is `{}`."""
    given = data if isinstance(data, dict) else {}
    headers = given.get("headers")
    return Envelope(headers if isinstance(headers, dict) else {}, given.get("body") or "{}")


async def sent_envelope(request: Request) -> Envelope:
    """Return the message in a request; no body is an empty one. Raises `Refused` for what is no JSON."""
    body = await request.read()
    return read_envelope(read_json(body) if body else {})


def _as_text(value: object) -> str:
    if isinstance(value, dict):
        return "[object Object]"
    if isinstance(value, list):
        return ",".join("" if part is None else part if isinstance(part, str) else _as_text(part) for part in value)
    return h.text(value)


def answer(given: Envelope, outcome: Outcome, *, is_debugging: bool = False) -> Reply:
    """Return what is answered for an outcome of an action; when debugging, with the stack of an error."""
    match outcome:
        case Forward():
            return _forward(given, outcome)
        case Page():
            return _page(given, outcome)
        case ActionFailed():
            return failure(given, outcome.text, outcome.detail if is_debugging else "")
        case Repeat():
            return _changed(given, outcome.message, "1001", outcome.reason, _repeater(given, outcome))
        case Limited():
            return _changed(given, outcome.message, "1004", outcome.reason)
        case Stop():
            return _changed(given, outcome.message, "1003", outcome.reason)
        case Trash():
            return _changed(given, outcome.message, "1006", outcome.reason)


def failure(given: Envelope, text: str, detail: str = "") -> Reply:
    """Return the answer to a call that went wrong; `detail` is for debugging."""
    message = f"Error occurred: {one_line(text)}"
    headers = dict(given.headers)
    headers.setdefault(h.RESULT_CODE, "1006")
    if detail and not headers.get(h.RESULT_DETAIL):
        headers[h.RESULT_DETAIL] = json.dumps(one_line(detail))
    if before := headers.get(h.RESULT_MESSAGE):
        message = f"Error: {message}, Original result: {h.text(before)}"
    return _reply({**headers, h.RESULT_MESSAGE: message}, given.body, 400)


def one_line(text: str) -> str:
    """Return a text without ends of lines, as the platform's SDK writes it into headers."""
    return _LINE_END.sub("", text)


def _forward(given: Envelope, forward: Forward) -> Reply:
    headers = _headers(given, forward.message)
    if forward.to is not None:
        try:
            headers |= _forced(given, forward.to)
        except LookupError as error:
            return failure(given, str(error))
    return _reply(headers | _told(forward.reason), _body(given, forward.message))


def _page(given: Envelope, page: Page) -> Reply:
    headers = _headers(given, page.message)
    try:
        if page.to is not None:
            headers |= _forced(given, page.to)
    except LookupError as error:
        return failure(given, str(error))
    headers |= _told(page.reason) if page.next_cursor is None else _next_page(page)
    items = [{"headers": _of_item(item, given), "body": body} for item, body in own_messages(page.items, headers)]
    return _reply(headers, json.dumps(items, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _next_page(page: Page) -> Mapping[str, Any]:
    cursor = str(page.next_cursor)
    told = f"Message will be used as a iterator with cursor [{one_line(cursor)}]. "
    code, follows = (
        ("1010", "Data will be send to follower(s).") if page.items else ("1011", "No follower will be called.")
    )
    trail = {h.CURSOR_TRAIL: page.trail} if page.trail else {}
    return {h.CURSOR: cursor, **trail, h.RESULT_MESSAGE: told + follows, h.RESULT_CODE: code}


def _of_item(item: Mapping[str, Any], given: Envelope) -> Mapping[str, Any]:
    """Return the headers of an item: one that was made of the message itself says only what is its own."""
    return own_headers(item, given.headers) if given.headers.keys() <= item.keys() else item


def _repeater(given: Envelope, repeat: Repeat) -> Mapping[str, str]:
    hop = Message[Any](given.headers, "").hop
    after = repeat.after if isinstance(repeat.after, timedelta) else repeat.after.after(hop, random.uniform)
    seconds = max(1, math.ceil(after.total_seconds()))
    return {h.REPEAT_INTERVAL: str(seconds), h.REPEAT_MAX_HOPS: str(max(1, repeat.max_hops))}


def _forced(given: Envelope, to: Sequence[str]) -> Mapping[str, str]:
    """Return what leads to these followers. Raises `LookupError` when the node has none of them."""
    followers = _followers(given.headers.get(h.WORKER_FOLLOWERS))
    found = (one for one in followers if one.get("name") in to or one.get("id") in to)
    ids = ",".join(str(one["id"]) for one in found if one.get("id"))
    if not ids:
        names = ",".join(h.text(one.get("name")) for one in followers)
        raise LookupError(f"Inserted follower(s) [{','.join(to)}] can't be reached. Available follower(s) [{names}]")
    told = f"Message will be force re-routed to [{ids}] follower(s)."
    return {h.FORCE_TARGET_QUEUE: ids, h.RESULT_MESSAGE: told, h.RESULT_CODE: "1002"}


def _followers(header: object) -> Sequence[Mapping[str, Any]]:
    """Read the header. Raises `LookupError` for one that is no JSON text."""
    if not header:
        return ()
    try:
        found = json.loads(header if isinstance(header, str) else _as_text(header))
    except ValueError:
        raise LookupError(f"the header {h.WORKER_FOLLOWERS} is not JSON text") from None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else ()


def _changed(
    given: Envelope, message: Message[Any] | None, code: str, reason: str, more: Mapping[str, str] | None = None
) -> Reply:
    headers = {**_headers(given, message), **_told(reason), h.RESULT_CODE: code, **(more or {})}
    return _reply(headers, given.body if message is None else _body(given, message))


def _told(reason: str) -> h.Headers:
    return {h.RESULT_MESSAGE: one_line(reason)} if reason else {}


def _headers(given: Envelope, message: Message[Any] | None) -> h.Headers:
    """Return the headers to answer with; a verdict that came along, which no action sees, goes with the others."""
    if message is None:
        return dict(given.headers)
    others = given.headers.keys() - h.VERDICT
    is_derived = not others or not others.isdisjoint(message.headers)
    came = {name: given.headers[name] for name in h.VERDICT if name in given.headers} if is_derived else {}
    return came | dict(message.headers)


def _body(given: Envelope, message: Message[Any]) -> Any:
    return given.body if message.body == given.text else message.body


def _reply(headers: h.Headers, body: Any, status: int = 200) -> Reply:
    headers.setdefault(h.RESULT_CODE, "0")
    headers.setdefault(h.RESULT_MESSAGE, SUCCESS)
    return json_reply({"body": body, "headers": headers}, status)
