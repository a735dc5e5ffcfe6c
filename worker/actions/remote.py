"""Actions of other services (Node.js, PHP), called over HTTP."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from connectors import Forward, Limited, Message, Outcome, Page, Repeat, Stop, Trash
from worker.errors import ActionUnreachable
from worker.protocol import headers as h
from worker.protocol.message import Visit, encode
from worker.protocol.topology import Role

UNREACHABLE = "worker unreachable"
"""What the platform says of a service that does not answer at all."""
MISSING = "requested header [{}] does not exist"
"""What the platform's worker says of a header that a verdict needs; its users filter the trash by it."""


class Reply(msgspec.Struct):
    """What a service answers."""

    headers: dict[str, Any] | None = None
    body: str | None = None


class Item(msgspec.Struct):
    """One message of a batch's body."""

    body: str
    headers: dict[str, Any] | None = None


_read_reply = msgspec.json.Decoder(Reply).decode
_read_items = msgspec.json.Decoder(list[Item]).decode


class RemoteActions:
    """Calls the service that a node's settings name. The client keeps connections alive; `close` it at the end."""

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        """Made by the first call: it reads all certificates of the machine."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        return httpx.AsyncClient(limits=limits, timeout=None, trust_env=False)  # noqa: S113 - `timed` surrounds each call

    async def call(self, visit: Visit) -> Outcome:
        """Call the action. Raises `ActionUnreachable` for a lost connection or a status above 500."""
        node = visit.node
        headers = {**h.without(visit.headers, h.VERDICT), **node.headers}
        url = f"{node.url.rstrip('/')}/{node.action_path.lstrip('/')}"
        try:
            answer = await self._client.post(
                url, content=encode(headers, visit.body), headers={"content-type": "application/json"}
            )
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ActionUnreachable(f"{url}: {type(error).__name__}: {error}", UNREACHABLE) from error
        if answer.status_code > HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ActionUnreachable(f"{url} answered {answer.status_code}", f"result status [{answer.status_code}]")
        return verdict(visit, answer.status_code, answer.content)

    async def close(self) -> None:
        """Close the connections, if there was a call."""
        if "_client" in vars(self):
            await self._client.aclose()


def verdict(visit: Visit, status: int, content: bytes) -> Outcome:
    """Return what a service's answer means for the message."""
    try:
        reply = _read_reply(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reply = Reply()
    message: Message[Any] | None = None
    if reply.headers is not None:
        message = Message(reply.headers, reply.body or "")
    headers = reply.headers or {}
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        text = h.text(headers.get(h.RESULT_MESSAGE))
        return Trash(f"result status [{status}], message: {text}", message)
    if message is None or h.RESULT_CODE not in headers:
        return Trash(MISSING.format(h.RESULT_CODE), message)
    try:
        return _outcome(visit, headers, message)
    except ValueError as error:
        return Trash(str(error), message)


def _outcome(visit: Visit, headers: Mapping[str, Any], message: Message[Any]) -> Outcome:
    reason = h.text(headers.get(h.RESULT_MESSAGE))
    match h.text(headers[h.RESULT_CODE]):
        case "1001":
            max_hops = _whole(headers, h.REPEAT_MAX_HOPS)  # the one that the platform's worker misses first
            return Repeat(timedelta(seconds=_whole(headers, h.REPEAT_INTERVAL)), reason, max_hops, message)
        case "1002":
            return _success(visit, message, _targets(headers))
        case "1003":
            return Stop(reason, message)
        case "1004":
            return Limited(reason, message=message)
        case "1006":
            return Trash(reason, message)
        case "1010":
            return Page(_items(message.body), _cursor(headers), message=message)
        case "1011":
            return Page((), _cursor(headers), message=message)
        case _:
            return _success(visit, message, None)


def _success(visit: Visit, message: Message[Any], to: tuple[str, ...] | None) -> Outcome:
    if visit.node.role is Role.BATCH:
        return Page(_items(message.body), to=to, message=message)
    return Forward(message, to)


def _items(body: str) -> list[Message[Any]]:
    try:
        return [Message(item.headers or {}, item.body) for item in _read_items(body)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"the body of a batch must be a JSON array of messages: {error}") from error


def _targets(headers: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(part.strip() for part in h.text(headers.get(h.FORCE_TARGET_QUEUE)).split(","))


def _cursor(headers: Mapping[str, Any]) -> str:
    return h.text(headers.get(h.CURSOR))


def _whole(headers: Mapping[str, Any], name: str) -> int:
    if name not in headers:
        raise ValueError(MISSING.format(name))
    try:
        return int(h.text(headers.get(name)))
    except ValueError:
        raise ValueError(f"header [{name}] is not a whole number: {headers.get(name)!r}") from None
