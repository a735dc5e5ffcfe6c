"""`worker.testing`: one action, and the contract of actions."""

import inspect
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

import pytest
import structlog
from support.entries import numbered
from support.shop import PAGES, AddVat, GetOrder, ListOrders, OrderId, Shop

from applications.http.request import Outgoing
from connectors import Connector, CustomNode, Forward, Limited, Message, Page, Repeat, Rules, Trash
from worker.testing import (
    ActionContract,
    ActionResult,
    BatchContract,
    ConnectionLost,
    ConnectorContract,
    Exchange,
    Reply,
    UnexpectedRequest,
    answering,
    load_trash,
    run_action,
)
from worker.trash.transfer import to_line

ORDER = {"id": 17, "total": 99.5}


class TestGetOrder(ConnectorContract):
    action = GetOrder
    replies = (ORDER,)


class TestListOrders(BatchContract):
    action = ListOrders
    replies = PAGES


class TestAddVat(ActionContract):
    action = AddVat
    data: ClassVar[Any] = {"id": 1, "total": 100}


async def test_a_connector_is_called_with_data_and_user() -> None:
    result = await run_action(GetOrder(), {"id": 17}, user="alice", http=answering(ORDER))
    assert (result.data, result.items, result.reason) == (ORDER, [ORDER], "")
    assert isinstance(result.outcome, Forward)
    assert result.messages[0].headers["user"] == "alice"
    assert isinstance(result, ActionResult)
    (exchange,) = result.exchanges
    assert isinstance(exchange, Exchange)
    assert exchange.reply is not None
    assert (exchange.reply.status, exchange.reply.json(), exchange.error) == (200, ORDER, "")
    assert exchange.request.path == "/api/orders/17"
    assert exchange.request.headers["authorization"] == Shop.headers["Authorization"]


async def test_a_batch_runs_to_its_last_page() -> None:
    result = await run_action(ListOrders, http=answering(*PAGES))
    assert [type(outcome) for outcome in result.outcomes] == [Page, Page]
    assert [item["id"] for item in result.items] == [1, 2]
    assert [exchange.request.params for exchange in result.exchanges] == [{"after": ""}, {"after": "1"}]


async def test_a_repeat_is_an_outcome_and_not_waited_for() -> None:
    result = await run_action(GetOrder, {"id": 17}, http=answering(Reply(429, headers={"retry-after": "600"})))
    assert isinstance(result.outcome, Repeat)
    assert result.outcome.after == timedelta(minutes=10)
    with pytest.raises(AssertionError, match="0 messages went on, not one; the outcome was Repeat"):
        _ = result.data


async def test_a_body_that_does_not_fit_lies_in_the_trash_with_the_place() -> None:
    result = await run_action(GetOrder, {"id": "seventeen"})
    assert isinstance(result.outcome, Trash)
    assert "at $.id: Input should be a valid integer" in result.reason
    assert result.entry is not None
    assert result.entry.body == '{"id":"seventeen"}'


async def test_a_request_fails_the_test_when_nothing_answers_it() -> None:
    with pytest.raises(UnexpectedRequest, match=r"GET https://shop\.example/api/orders/17 in a test without HTTP"):
        await run_action(GetOrder, {"id": 17})


async def test_a_trashed_message_is_a_fixture(tmp_path: Path) -> None:
    entry = numbered(1, body='{"id": 17}', headers={"correlation-id": "run", "result-message": "no stock"})
    (tmp_path / "trash.jsonl").write_text(to_line(entry) + "\n\n", encoding="utf-8")
    (loaded,) = load_trash(tmp_path / "trash.jsonl")
    assert loaded == entry
    result = await run_action(GetOrder, loaded, http=answering(ORDER))
    assert result.data == ORDER
    assert result.messages[0].headers["correlation-id"] == entry.headers["correlation-id"]
    (tmp_path / "trash.jsonl").write_text("{}")
    with pytest.raises(ValueError, match=r"trash\.jsonl, line 1: id: Field required"):
        load_trash(tmp_path / "trash.jsonl")


class Undocumented(CustomNode[OrderId, OrderId]):
    name = "Undocumented Node"

    async def process(self, message: Message[OrderId]) -> Message[OrderId]:
        raise Trash("never works")


class Careless(Connector[Any, Any]):
    """Breaks every rule about replies."""

    name = "careless"
    application = Shop

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Log the key, ask, and take whatever comes."""
        structlog.get_logger().info("asking", key=Shop.headers["Authorization"])
        try:
            async with self.http.open(Outgoing("GET", f"{Shop.base_url}/x", Shop.headers)) as reply:
                content = await reply.read(1_000)
        except ConnectionLost as error:
            raise Trash(str(error)) from error
        return message.with_body(content.decode())


class Impatient(Connector[Any, Any]):
    """Knows a used-up limit, but not until when."""

    name = "impatient"
    application = Shop
    after: timedelta | None = None

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Ask, and hand the message back to the limiter."""
        response = await self.get("/orders/17", rules=Rules(success="429"))
        if response.status == 429:
            raise Limited("busy", after=self.after)
        return message.with_data(response.json())


class ChecksUndocumented(ActionContract):
    action = Undocumented
    data: ClassVar[Any] = {"id": "x"}


class ChecksCareless(ConnectorContract):
    action = Careless
    replies = (ORDER,)


class ChecksImpatient(ConnectorContract):
    action = Impatient
    data: ClassVar[Any] = {}
    replies = (ORDER,)


def failures(contract: ActionContract) -> Iterator[tuple[str, str]]:
    for name, check in inspect.getmembers(contract, inspect.ismethod):
        if name.startswith("test_"):
            try:
                with suppress(SkipTest):  # it would skip the test that asks
                    check()
            except AssertionError as error:
                yield name, str(error)


def test_the_contract_says_what_an_action_lacks() -> None:
    found = dict(failures(ChecksUndocumented()))
    assert "use small letters" in found["test_its_name_fits_into_a_path"]
    assert "needs a docstring" in found["test_it_says_what_it_does"]
    assert "at $.id: Input should be a valid integer" in found["test_its_examples_fit_its_input"]
    assert "Trash:" in found["test_it_succeeds"]


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (None, "not the time that the service says, but None"),
        (timedelta(seconds=119), "sooner than asked: 0:01:59"),
        (timedelta(seconds=120), None),
    ],
)
def test_the_contract_finds_who_does_not_wait_as_long_as_the_service_says(
    after: timedelta | None, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Impatient, "after", after)
    found = dict(failures(ChecksImpatient()))
    assert list(found) == (["test_a_used_up_limit_waits_as_long_as_the_service_says"] if told else [])
    assert told is None or all(told in reason for reason in found.values())


def test_the_contract_finds_what_a_connector_makes_of_bad_replies() -> None:
    found = dict(failures(ChecksCareless()))
    assert set(found) == {
        "test_a_refusal_goes_to_the_trash_with_its_status",
        "test_a_used_up_limit_waits_as_long_as_the_service_says",
        "test_a_service_in_trouble_is_asked_again_later",
        "test_a_reply_that_is_not_what_it_should_be_is_no_success",
        "test_secrets_stay_out_of_logs_and_trash",
    }
    assert "s3cr3t" not in found["test_secrets_stay_out_of_logs_and_trash"]
