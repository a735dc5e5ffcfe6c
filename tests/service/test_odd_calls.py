"""Whatever somebody calls with and whatever an action answers, the caller is told, and the service goes on."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.odd import KNOWN_HEADERS, ODD_ENDS, ODD_VALUES, Base, Odd, OddInThread, nested
from support.serving import Asked, serving

from connectors import Batch, Connector, Message
from connectors.functions import custom_node
from worker.actions.local import contained
from worker.service.callers import Callers
from worker.service.http import Reply, Request
from worker.service.routing import Places, Route
from worker.service.service import Service

AnyMessage = Message[Any]


class OddPages(Batch[Any, Any]):
    """The same of a batch."""

    name = "odd-pages"

    async def page(self, message: AnyMessage, cursor: str | None) -> Any:
        """Return or raise something odd."""
        return await ODD_ENDS[int(message.body)](message)


class OddCall(Connector[Any, Any]):
    """The same of a connector."""

    name = "odd-call"

    async def process(self, message: AnyMessage) -> Any:
        """Return or raise something odd."""
        return await ODD_ENDS[int(message.body)](message)


@custom_node("odd-function")
async def odd_function(message: AnyMessage) -> Any:
    return await ODD_ENDS[int(message.body)](message)


@custom_node("echo")
def echo(message: AnyMessage) -> AnyMessage:
    return message


PATHS = (
    "/custom-node/odd/process", "/custom-node/odd-in-thread/process", "/custom-node/odd-function/process",
    "/batch/odd-pages/action", "/connector/odd-call/action",
)  # fmt: skip


@pytest.fixture
def ask() -> Asked:
    return serving(Odd(), OddInThread(), OddPages(), OddCall(), odd_function, echo)


@pytest.mark.parametrize("path", PATHS)
async def test_whatever_an_action_returns_or_raises_the_caller_gets_an_envelope(ask: Asked, path: str) -> None:
    with capture_logs() as lines, contained():
        for number in range(len(ODD_ENDS)):
            asking = ask("POST", path, {"body": str(number), "headers": {"user": "alice"}})
            answer = await asyncio.create_task(asking)  # as a server does
            assert answer.status in {200, 400}, number
            assert answer.headers["result-code"], number
    assert [line for line in lines if line["event"] == "service_answer_failed"] == []


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        (float("nan"), "Out of range float values are not JSON compliant"),
        (object(), "Object of type object is not JSON serializable"),
        (nested(5000), "maximum recursion depth exceeded"),
    ],
)
async def test_the_reason_says_why_an_outcome_cannot_be_sent(returned: object, why: str) -> None:
    @custom_node("spoil")
    def spoil(message: AnyMessage) -> AnyMessage:
        return message.with_headers({"own": returned})

    answer = await serving(spoil).call("/custom-node/spoil/process", {"id": 1}, user="alice")
    assert (answer.status, answer.headers["user"], answer.data["body"]) == (400, "alice", '{"id": 1}')
    assert answer.headers["result-message"].startswith("Error occurred: the outcome of spoil cannot be sent: ")
    assert why in answer.headers["result-message"]


def in_header(value: bytes) -> bytes:
    return b'{"body":"","headers":{"own":' + value + b"}}"


DEEP = b"[" * 900 + b"]" * 900


@pytest.mark.parametrize("path", [*PATHS, "/custom-node/none/process"])
@pytest.mark.parametrize(
    "sent",
    [
        in_header(b"NaN"), in_header(b"1e400"), in_header(b"-1e999"), in_header(b"9" * 5000), in_header(DEEP),
        b'{"body":' + DEEP + b"}", b'{"body":1e400}', DEEP, b"[" * 100_000, b"\xff", b"{", b"\x00",
    ],
    ids=lambda sent: sent[:40],
)  # fmt: skip
async def test_what_cannot_be_worked_with_is_refused_with_the_reason(ask: Asked, path: str, sent: bytes) -> None:
    answer = await ask("POST", path, sent)
    assert (answer.status, answer.data["status"]) == (400, "Error")
    assert answer.data["message"].startswith("Error occurred: the body is not JSON: ")


ECHO = serving(echo)
HEADERS = st.dictionaries(st.sampled_from(KNOWN_HEADERS), st.sampled_from(ODD_VALUES), max_size=12)


@given(HEADERS, st.sampled_from(["", "[" * 5000, "\x00", "\ud800", 5, [], {}, [[{}]], True]))
def test_headers_and_body_of_any_type_are_answered(headers: dict[str, Any], body: object) -> None:
    with capture_logs() as lines:
        for path, status in (("/custom-node/echo/process", 200), ("/custom-node/none/process", 400)):
            answer = asyncio.run(ECHO("POST", path, {"headers": headers, "body": body}))
            assert (answer.status, "result-code" in answer.headers) == (status, True)
    assert [line for line in lines if line["event"] == "service_answer_failed"] == []


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), Base()])
async def test_a_handler_that_raises_anything_costs_its_caller(raised: BaseException) -> None:
    async def leave(request: Request, places: Places) -> Reply:
        raise raised

    ask = Asked(Service([Route("GET", "/leave", leave, 1)], Callers(["127.0.0.0/8"], "")))
    with capture_logs() as lines:
        answer = await ask("GET", "/leave")
    assert (answer.status, [line["event"] for line in lines]) == (500, ["service_answer_failed"])
