"""The custom nodes that were recorded."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx

from connectors import Forward, Limited, Message, Outcome, Repeat, Stop, Trash
from connectors.functions import FunctionNode, custom_node

DONE = "Processed successfully."
REPEATER = ("repeat-interval", "repeat-max-hops", "repeat-hops", "repeat-queue")
Made = Message[Any] | Outcome
ENTITIES = {
    "order": {"key": "id", "fields": [{"id": "1", "a": "b"}, {"id": "2"}]},
    "cust": {"key": "no", "fields": [{"no": "9"}]},
}


def told(message: Message[Any], text: str) -> Message[Any]:
    return message.with_headers({"result-message": text, "result-code": "0"})


def without_followers(message: Message[Any]) -> Message[Any]:
    """Choose followers, which have to be there, and take it back."""
    known = json.loads(message.headers.get("worker-followers") or "[]")
    if not {one["name"] for one in known} & set(message.data["followers"]):
        wanted, names = (",".join(some) for some in (message.data["followers"], [one["name"] for one in known]))
        raise Exception(f"Inserted follower(s) [{wanted}] can't be reached. Available follower(s) [{names}]")  # noqa: TRY002 - as above
    return told(message, DONE).without_headers("force-target-queue")


DECIDED: dict[str, Callable[[Message[Any]], Made]] = {
    "echo": lambda message: message,
    "set-json-undefined": lambda message: message.with_body(""),
    "followers": lambda message: Forward(message, tuple(map(str, message.data["followers"]))),
    "remove-followers": without_followers,
    "repeat-exception": lambda _: Repeat(timedelta(seconds=5), "repeat me\nplease\r\nnow", 3),
    "repeat-exception-default": lambda _: Repeat(timedelta(seconds=60)),
    "repeat-exception-bad-interval": lambda _: Repeat(timedelta(0), "bad interval", 3),
    "repeat-exception-after-changes": lambda _: Repeat(timedelta(seconds=5), "repeat after changes", 3),
    "repeat-set": lambda message: Repeat(timedelta(seconds=10), "reason\nwith newline", 4, message),
    "repeat-remove": lambda message: told(message, DONE).without_headers(*REPEATER),
    "stop-and-fail": lambda _: Trash("stop me\nnow\r\nplease\rok"),
    "stop-and-fail-empty": lambda _: Trash(""),
    "stop-and-fail-after-changes": lambda _: Trash("stop after changes"),
    "stop": lambda message: Stop("stopped: do not continue\nsecond line", message),
    "stop-failed": lambda message: Trash("stopped and failed", message),
    "stop-empty-reason": lambda message: Stop("", message),
    "limit-exceeded": lambda message: Limited("limit is exceeded", message=message),
    "success-default": lambda message: told(message, "Message has been processed successfully."),
    "success-custom": lambda message: told(message, "customsuccess"),
    "limiter": lambda message: message.with_headers({"limiter-key": "key|;60;10"}),
    "limiter-pipe": lambda message: message.with_headers({"limiter-key": "user1|app;60;10"}),
    "limiter-float": lambda message: message.with_headers({"limiter-key": "key|;1.5;10"}),
    "limiter-group": lambda message: message.with_headers({"limiter-key": "key|;60;10;group|;3600;100"}),
    "limiter-group-pipe": lambda message: message.with_headers({"limiter-key": "user1|app;60;10;|app;3600;100"}),
    "limiter-remove": lambda message: message.without_limits(),
    "headers": lambda message: message.without_headers("remove-me").with_headers(
        {"x-str": "v", "x-num": 5, "x-arr": ["a", "b"], "x-null": None, "X-Case": "Kept"}
    ),
    "headers-replace": lambda message: Message({"only": "this"}, message.body),
    "headers-remove-all": lambda message: Message({}, message.body),
    "set-user": lambda message: message.with_user("other-user"),
    "set-user-undefined": lambda message: message.without_headers("user"),
    "audit": lambda message: message.with_headers({"audit-entity": json.dumps(ENTITIES)}),
    "json-data": lambda message: message.with_data({"parsed": message.data, "raw": message.body}),
    "return-new": lambda message: Message({}, json.dumps({"fresh": True})),
    "log-ui": lambda message: message,
    "log-ui-ctx": lambda message: message,
}
JSON = {"a": 1, "b": [True, None, 1.5], "c": "čau 😀", "big": 12345678901234567890, "nested": {"x": {}}}
ERRORS = {
    "repeat-set-bad": "Value interval is obligatory and can not be lower than 0",
    "repeat-set-bad-hops": "Value maxHops is obligatory and can not be lower than 0",
    "error": "plain\nerror\r\ntext",
    "error-empty": "",
    "error-string": "undefined",
    "error-undefined": "undefined",
    "error-object": "object message",
    "error-after-changes": "error after changes",
    "stop-bad-code": "Value does not match with the required one",
    "return-null": "Cannot read properties of null (reading 'getHeaders')",
}


def nodes(starting_point: str) -> list[FunctionNode]:
    """Return all of them; `starting_point` is the address at which they start topologies."""
    decided = [custom_node(name)(_deciding(decide)) for name, decide in DECIDED.items()]
    failing = [custom_node(name)(_failing(text)) for name, text in ERRORS.items()]
    return [*decided, *failing, set_json, header_read, async_error, _run_topology(starting_point)]


def _deciding(decide: Callable[[Message[Any]], Made]) -> Callable[..., Any]:
    async def decided(message: Message[Any]) -> Any:
        return decide(message)

    return decided


def _failing(text: str) -> Callable[..., Any]:
    async def failing(message: Message[Any]) -> Any:
        raise Exception(text)  # noqa: TRY002 - as plain as the one that was recorded

    return failing


@custom_node("set-json")
async def set_json(message: Message[Any]) -> Message[Any]:
    return message.with_data(JSON)


@custom_node("async-error")
async def async_error(message: Message[Any]) -> Any:
    await asyncio.sleep(0)
    raise Exception("async error")  # noqa: TRY002 - as above


def joined(values: list[Any]) -> str:
    """Return a list as JavaScript writes it."""
    return ",".join("" if one is None else joined(one) if isinstance(one, list) else str(one) for one in values)


@custom_node("header-read")
async def header_read(message: Message[Any]) -> Message[Any]:
    def read(name: str, otherwise: str | None = None) -> str | None:
        value = message.headers.get(name)
        if isinstance(value, dict):
            return "[object Object]"
        return otherwise if not value else joined(value) if isinstance(value, list) else str(value)

    found = {"user": read("user"), "num": read("x-num"), "arr": read("x-arr"), "zero": read("x-zero", "DEF")}
    found |= {"empty": read("x-empty", "DEF"), "falsy": read("x-false", "DEF"), "obj": read("x-obj")}
    return message.with_data(found | {"missing": read("nope", "DEF"), "app": ""})


def _run_topology(starting_point: str) -> FunctionNode:
    @custom_node("run-topology")
    async def run_topology(message: Message[Any]) -> Any:
        data = message.data
        is_webhook = data["mode"] == "webhook"
        user = f"/user/{data['user'] or 'null'}" if "user" in data and not is_webhook else ""
        way = {"webhook": "token/tok/run", "id": "run"}.get(data["mode"], "run-by-name")
        url = f"{starting_point}/topologies/{data.get('topo', 'topo')}/nodes/node{user}/{way}"
        async with httpx.AsyncClient(trust_env=False) as client:
            reply = await client.post(url, json={"hello": "world"})
        if reply.status_code == 200:
            return message.with_data({"code": 200, "body": reply.text})
        is_success = reply.status_code < 300
        why = "ResponseCode is not 200" if is_success else f"status: {reply.status_code}, body: {reply.text}"
        failed = f"Call of starting-point with url [{url}] has been failed. Reason [{why}]"
        return Repeat(timedelta(seconds=60), failed)

    return run_topology
