"""The connectors and batches that were recorded, and how the recorded service sent requests."""

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, NoReturn

from applications import Application
from applications.http.response import Response
from connectors import Batch, Connector, Message, Outcome, Page, Repeat, Stop, Trash
from connectors.action import ServiceAction
from connectors.rules import Rules

from .nodes import DONE, told

ALL = Rules(success=range(100, 600))
RANGES: dict[str, dict[str, Any]] = {
    "repeatOnErrorRanges": {"success": "<300", "repeat": ">=300"},
    "continueOnErrorRanges": {"success": "<500", "repeat": [], "stopAndFail": ">=500"},
    "continueOnNotFoundRanges": {
        "success": ["<300", 404],
        "repeat": [408, 429, ">=500"],
        "stopAndFail": ["300-404", "405-408", "409-429", "430-500"],
    },
    "keepAllRanges": {"success": [], "all": True},
}
DEFAULT: dict[str, Any] = {
    "success": "<300",
    "repeat": [408, 429, ">=500"],
    "stopAndFail": ["300-408", "409-429", "430-500"],
}


def is_in(code: int, ranges: Any) -> bool:
    """Whether a status is in a range of the recorded service; `a-b` is without its end."""
    if isinstance(ranges, list):
        return any(is_in(code, one) for one in ranges)
    text = str(ranges)
    if match := re.fullmatch(r"(\d+)-(\d+)", text):
        return int(match[1]) <= code < int(match[2])
    if match := re.fullmatch(r"(<=|>=|<|>)(\d+)", text):
        limit = int(match[2])
        return {"<=": code <= limit, ">=": code >= limit, "<": code < limit, ">": code > limit}[match[1]]
    return text == str(code)


async def sent(action: ServiceAction[Any, Any], order: dict[str, Any], url: str) -> Response:
    """Send a request as the recorded service did, and return the reply that means success."""
    options: dict[str, Any] = {"headers": order.get("headers") or {}, "rules": ALL}
    body = order.get("body")
    if isinstance(body, str):
        options["content"] = body.encode()
    elif body is not None:
        options["json"] = body
    if order.get("timeout"):
        options["timeout_seconds"] = order["timeout"] / 1000
    try:
        reply = await action.request(order.get("method", "GET"), url, **options)
    except Repeat as lost:
        if order.get("timeout"):
            raise Repeat(timedelta(seconds=60), f"timeout of {order['timeout']}ms exceeded") from lost
        raise Exception(lost.reason) from lost  # noqa: TRY002 - as the recorded one says nothing else
    _judge(reply, order)
    return reply


def _judge(reply: Response, order: dict[str, Any]) -> None:
    ranges = order.get("ranges", "default")
    known = DEFAULT if ranges == "default" else RANGES.get(ranges) if isinstance(ranges, str) else None
    if ranges is None or (known and known.get("all")):
        return
    if known is None:
        known = ranges if isinstance(ranges, dict) else {"success": ranges}
    if is_in(reply.status, known.get("success", [])):
        return
    if is_in(reply.status, known.get("stopAndFail", [])):
        raise Trash(_told(reply))
    if is_in(reply.status, known.get("repeat", [])) or reply.status >= 300:
        _repeat(reply, order)


def _repeat(reply: Response, order: dict[str, Any]) -> NoReturn:
    raise Repeat(timedelta(seconds=order.get("sec", 60)), _told(reply), order.get("hops", 10))


def _told(reply: Response) -> str:
    return f"status: {reply.status}, body: {reply.text}"


def reason_of(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown"


class HttpConnector(Connector[Any, Any]):
    """Sends what its message says."""

    name = "http"

    def __init__(self, web: str) -> None:
        self._web = web

    async def process(self, message: Message[Any]) -> Message[Any]:
        order = message.data
        if order.get("auth"):
            user, password = order["auth"]
            pair = b64encode(f"{user}:{password}".encode()).decode()
            order = {**order, "headers": {**order.get("headers", {}), "Authorization": f"Basic {pair}"}}
        reply = await sent(self, order, order.get("url") or f"{self._web}{order['path']}")
        found = {"code": reply.status, "reason": reason_of(reply.status), "body": reply.text}
        return message.with_data(found | {"xTest": reply.headers.get("x-test")})


class Upper(Connector[Any, Any]):
    """Returns what it got."""

    name = "Z-upper"

    async def process(self, message: Message[Any]) -> Message[Any]:
        return message


def lower(basic: type[Application]) -> Connector[Any, Any]:
    class Lower(Connector[Any, Any]):
        """Says which application it is of."""

        name = "a-lower"
        application = basic

        async def process(self, message: Message[Any]) -> Message[Any]:
            return message.with_data({"app": basic.key, "name": basic.key})

    return Lower()


def app_connector(basic: type[Application], web: str) -> Connector[Any, Any]:
    class AppConnector(Connector[Any, Any]):
        """Calls the service of its application."""

        name = "app-connector"
        application = basic

        async def process(self, message: Message[Any]) -> Message[Any]:
            reply = await self.request("POST", f"{web}/echo", json={"hello": "wörld"})
            return message.with_data(reply.json())

    return AppConnector()


def app_batch(webhook: type[Application]) -> Batch[Any, Any]:
    class AppBatch(Batch[Any, Any]):
        """Returns the settings of an install."""

        name = "app-batch"
        application = webhook

        async def page(self, message: Message[Any], cursor: str | None) -> Page:
            token = (await self.access()).fields["token"]
            item = {"app": webhook.key, "settings": {"authorization_form": {"token": token}}}
            return Page([Message({}, json.dumps(item))], message=message)

    return AppBatch()


class Items(Batch[Any, Any]):
    """Makes the items that its message asks for."""

    name = "items"

    async def page(self, message: Message[Any], cursor: str | None) -> Page | Outcome:  # noqa: C901, PLR0912 - a list of cases
        if message.data is None:
            raise Exception("Cannot read properties of null (reading 'mode')")  # noqa: TRY002 - as it was recorded
        mode = message.data.get("mode") if isinstance(message.data, dict) else None
        one = [{"a": 1}]
        cursor = cursor or None
        match mode:
            case "plain":
                return _page(message, [{"id": 1}, {"id": 2, "u": "č"}])
            case "full":
                return _page(message, _full(message))
            case "group":
                base = message.with_headers({"limiter-key": "base|;5;6"})
                return _page(base, _group(base))
            case "types":
                bodies = ["null", "5", "1.5", "true", "[1,2]", "", "", "{}"]
                return _page(message, [Message({}, body) for body in bodies])
            case "list":
                return _page(message, [{"a": 1}, Message({}, "two"), 3])
            case "list-as-batch":
                return _page(message, [[[{"a": 1}, {"b": 2}]]])
            case "message":
                return _page(message, [Message({"h": "1"}, "b"), Message({}, "c")])
            case "cursor":
                return Page([{"page": cursor or "1"}], "2", message=message)
            case "cursor-only":
                return Page([], "5", message=message)
            case "cursor-only-items":
                return _page(_cursor(message, "5", "1011", "No follower will be called."), one)
            case "cursor-remove":
                return _page(told(message, DONE).without_headers("cursor"), one)
            case "cursor-last":
                return _page(message, [{"page": cursor or "none"}])
            case "cursor-empty":
                return _page(_cursor(message, "", "1010", "Data will be send to follower(s)."), [])
            case "cursor-newline":
                return _page(_cursor(message, "a\nb", "1010", "Data will be send to follower(s)."), [])
            case "limiter":
                return _page(message.with_headers({"limiter-key": "k|;1;2"}), one)
            case "user":
                return _page(message, [{"user": message.user or None, "app": ""}])
            case "stop":
                return Stop("batch stopped", message.with_body('[{"headers":{},"body":"{\\"a\\":1}"}]'))
            case "followers":
                return Page(one, to=("n1",), message=message)
            case "error":
                raise Exception("batch error")  # noqa: TRY002 - as plain as the one that was recorded
            case "repeat":
                raise Repeat(timedelta(seconds=7), "batch repeat", 2)
            case "fail":
                raise Trash("batch fail")
            case "parsed":
                return _page(message, [{"parsed": message.data, "raw": message.body}])
        return _page(message, [])


def _page(message: Message[Any], items: Sequence[Any]) -> Page:
    return Page([item if isinstance(item, Message) else _item(item) for item in items], message=message)


def _item(data: Any) -> Message[Any]:
    return Message[Any]({}, "").with_data(data)


def _cursor(message: Message[Any], cursor: str, code: str, follows: str) -> Message[Any]:
    shown = cursor.replace("\n", "")
    text = f"Message will be used as a iterator with cursor [{shown}]. {follows}"
    return message.with_headers({"cursor": cursor, "result-message": text, "result-code": code})


def _full(message: Message[Any]) -> list[Message[Any]]:
    return [
        _item({"id": 1}).with_headers(
            {"limiter-key": _limits(message, "user1|app;60;10"), "user": "user1", "x-item": "a", "arr": ["1", "2"]}
        ),
        Message({}, "raw string"),
        Message({"user": "user2"}, "<xml/>"),
        _item({"id": 3}).with_headers({"limiter-key": _limits(message, "lim|;1;2")}),
        _item({"id": 4}).with_headers({"user": "override", "limiter-key": "override"}),
    ]


def _group(message: Message[Any]) -> list[Message[Any]]:
    return [
        _item({"id": 1}).with_headers({"limiter-key": _limits(message, "user1|app;60;10")}),
        _item({"id": 2}),
        _item({"id": 3}).with_headers({"limiter-key": _limits(message, "base|;1;1")}),
    ]


def _limits(message: Message[Any], added: str) -> str:
    parts = str(message.headers.get("limiter-key") or "").split(";")
    groups = {parts[at]: ";".join(parts[at : at + 3]) for at in range(0, len(parts) - 2, 3)}
    return ";".join((groups | {added.split(";", maxsplit=1)[0]: added}).values())


def actions(basic: type[Application], webhook: type[Application], web: str) -> list[Any]:
    """Return all of them; `web` is the address of the service that they call."""
    return [HttpConnector(web), Upper(), lower(basic), app_connector(basic, web), Items(), app_batch(webhook)]
