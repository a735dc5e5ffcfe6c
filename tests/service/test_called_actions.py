"""Actions as the platform lists and calls them."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.serving import Asked, serving

from applications import Application
from connectors import Exponential, Forward, Limited, Message, Outcome, Page, Repeat, Stop, Trash
from connectors.functions import batch, connector, custom_node
from connectors.nodes.amqp import AmqpPublish
from worker.actions.registry import Registry
from worker.pipeline.decisions import Decided, Way
from worker.protocol.message import Visit
from worker.service.service import open_service
from worker.settings.settings import load_settings

FOLLOWERS = json.dumps([{"id": "1", "name": "first"}, {"id": "2", "name": "second"}])
OUTCOMES: dict[str, Outcome] = {
    "to": Forward(Message({"own": "x"}, "{}"), ("second", "first")),
    "nowhere": Forward(Message({}, "{}"), ("third",)),
    "repeat": Repeat(timedelta(seconds=4.2), "two\nlines", 3),
    "growing": Repeat(Exponential(first=timedelta(seconds=8)), "later"),
    "limited": Limited("used up"),
    "stop": Stop("enough"),
    "told": Forward(Message({}, "{}"), reason="17 orders\nbooked"),
    "told to": Forward(Message({}, "{}"), ("first",), "to the first"),
    "changed": Stop("enough", Message({"own": "x"}, '"new"')),
    "trash": Trash("no such order"),
}


class Shop(Application):
    """A service."""

    key = "shop"


@connector("shop-get", application=Shop)
async def shop_get(data: Any) -> Any:
    """Never called here."""
    return data


@custom_node("echo")
def echo(message: Message[Any]) -> Message[Any]:
    return message


@custom_node("decide")
def decide(name: str) -> Outcome:
    return OUTCOMES[name]


@custom_node("fail")
def fail(data: Any) -> Any:
    raise {"plain": Exception("plain\r\nerror"), "key": KeyError("id")}[data]


@batch("pages")
def pages(message: Message[Any], cursor: str | None) -> Page:
    derived = message.with_data({"id": 2}).with_headers({"own": "x"})
    return Page([{"id": 1}, derived, Message({"user": "alice"}, "text")], "7" if cursor is None else None)


@custom_node("fresh")
def fresh(message: Message[Any]) -> Message[Any]:
    return Message({"only": "this"}, "{}")


UNSENDABLE: dict[str, Any] = {"number": inf, "time": datetime.now(UTC), "set": {1}}


@custom_node("unsendable")
def unsendable(message: Message[Any]) -> Message[Any]:
    return message.with_headers({"own": UNSENDABLE[message.data]})


@custom_node("slow")
async def slow(data: Any) -> Any:
    await asyncio.Event().wait()


ALL = (echo, decide, fail, fresh, pages, slow, unsendable)
GIVEN = {"user": "alice", "worker_followers": FOLLOWERS}


async def test_the_lists_name_each_action_with_its_application_by_name() -> None:
    ask = serving(*ALL, shop_get, AmqpPublish())
    assert (await ask("GET", "/custom-node/list")).data == [
        {"name": name} for name in ("decide", "echo", "fail", "fresh", "slow", "unsendable")
    ]
    assert (await ask("GET", "/BATCH/list/")).data == [{"name": "pages"}]
    assert (await ask("GET", "/connector/list")).data == [{"name": "shop-get", "app": "shop"}]


async def test_a_message_that_goes_on_keeps_its_headers_as_they_came() -> None:
    headers = {"user": 7, "x": None, "list": [1, {"a": 1.5}], "X-Case": "kept"}
    answer = await serving(*ALL)("POST", "/custom-node/ech%6F/process", {"body": "<a/>", "headers": headers})
    assert answer.status == 200
    success = {"result-code": "0", "result-message": "Processed successfully."}
    assert answer.data == {"body": "<a/>", "headers": headers | success}


@pytest.mark.parametrize("body", [{"a": 1}, 5, ["x", None], True])
async def test_a_body_that_is_no_text_goes_back_as_it_came(body: object) -> None:
    answer = await serving(*ALL)("POST", "/custom-node/echo/process", {"body": body})
    assert answer.data["body"] == body


@pytest.mark.parametrize("sent", [{}, {"body": None, "headers": []}, [], 5, {"body": 0}])
async def test_what_is_missing_is_empty(sent: object) -> None:
    answer = await serving(*ALL)("POST", "/custom-node/echo/process", sent)
    assert (answer.status, answer.data["body"], answer.headers["result-code"]) == (200, "{}", "0")


async def test_a_verdict_that_came_along_stays() -> None:
    answer = await serving(*ALL).call("/custom-node/echo/process", {}, result_code=1003, result_message="before")
    assert (answer.headers["result-code"], answer.headers["result-message"]) == (1003, "before")


async def test_a_verdict_that_came_along_goes_with_the_headers_that_an_action_drops() -> None:
    came = {"result_code": 1003, "result_message": "before", "result_detail": "", "own": "x"}
    answer = await serving(*ALL).call("/custom-node/fresh/process", {}, **came)
    assert answer.headers == {"only": "this", "result-code": "0", "result-message": "Processed successfully."}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("to", ("1002", "Message will be force re-routed to [1,2] follower(s).")),
        ("repeat", ("1001", "twolines")),
        ("limited", ("1004", "used up")),
        ("stop", ("1003", "enough")),
        ("trash", ("1006", "no such order")),
    ],
)
async def test_each_outcome_has_its_code(name: str, told: tuple[str, str]) -> None:
    answer = await serving(*ALL).call("/custom-node/decide/process", name, **GIVEN)
    assert (answer.status, answer.headers["result-code"], answer.headers["result-message"]) == (200, *told)


async def test_followers_are_named_by_their_ids_in_the_order_of_the_header() -> None:
    answer = await serving(*ALL).call("/custom-node/decide/process", "to", **GIVEN)
    assert (answer.headers["force-target-queue"], answer.headers["own"]) == ("1,2", "x")


async def test_followers_that_the_node_does_not_have_are_an_error() -> None:
    answer = await serving(*ALL).call("/custom-node/decide/process", "nowhere", **GIVEN)
    told = "Error occurred: Inserted follower(s) [third] can't be reached. Available follower(s) [first,second]"
    assert (answer.status, answer.headers["result-code"], answer.headers["result-message"]) == (400, "1006", told)


@pytest.mark.parametrize(
    "known", ['[{"name": "second"}]', '[{"id": null, "name": "second"}]', '[{"id": "1"}]', "null", ""]
)
async def test_a_follower_without_an_id_cannot_be_reached(known: str) -> None:
    answer = await serving(*ALL).call("/custom-node/decide/process", "to", worker_followers=known)
    assert (answer.status, answer.headers["result-code"]) == (400, "1006")
    assert "can't be reached" in answer.headers["result-message"]
    assert "None" not in answer.headers["result-message"]


@pytest.mark.parametrize("name", UNSENDABLE)
async def test_what_json_cannot_hold_is_told_and_the_message_stays_as_it_came(name: str) -> None:
    answer = await serving(*ALL).call("/custom-node/unsendable/process", name, user="alice")
    assert (answer.status, answer.headers["result-code"]) == (400, "1006")
    assert "cannot be sent" in answer.headers["result-message"]
    assert answer.data["body"] == json.dumps(name)


async def test_a_repeat_says_when_and_how_often_in_whole_seconds() -> None:
    ask = serving(*ALL)
    answer = await ask.call("/custom-node/decide/process", "repeat", **GIVEN)
    assert (answer.headers["repeat-interval"], answer.headers["repeat-max-hops"]) == ("5", "3")
    answer = await ask.call("/custom-node/decide/process", "growing", repeat_hops="3")
    assert 1 <= int(answer.headers["repeat-interval"]) <= 32


async def test_an_outcome_may_change_the_message() -> None:
    answer = await serving(*ALL).call("/custom-node/decide/process", "changed", **GIVEN)
    assert (answer.data["body"], answer.headers["own"]) == ('"new"', "x")


@pytest.mark.parametrize(("kind", "told"), [("plain", "plainerror"), ("key", "KeyError: 'id'")])
async def test_an_error_leaves_the_message_as_it_came(kind: str, told: str) -> None:
    with capture_logs() as logs:
        answer = await serving(*ALL).call("/custom-node/fail/process", kind, user="alice")
    assert (answer.status, answer.data["body"]) == (400, json.dumps(kind))
    assert answer.headers == {"user": "alice", "result-code": "1006", "result-message": f"Error occurred: {told}"}
    (line,) = [line for line in logs if line["event"] == "message_trashed"]
    assert "test_called_actions.py" in line["reason"], "the log has the place"


async def test_a_body_of_another_type_is_told_by_its_place_without_its_values() -> None:
    @custom_node("count")
    def count(data: dict[str, int]) -> int:
        return sum(data.values())

    answer = await serving(count).call("/custom-node/count/process", {"shop": "of-alice"})
    assert (answer.status, "at $.shop" in answer.headers["result-message"]) == (400, True)
    assert "of-alice" not in answer.headers["result-message"]


async def test_a_stack_is_told_when_debugging_only() -> None:
    answer = await serving(*ALL, app_env="debug").call("/custom-node/fail/process", "plain")
    assert "Traceback" in json.loads(answer.headers["result-detail"])


async def test_the_items_of_a_page_say_what_is_their_own() -> None:
    answer = await serving(*ALL).call("/batch/pages/action", {}, user="alice", node_id="n")
    assert json.loads(answer.data["body"]) == [
        {"headers": {}, "body": '{"id":1}'},
        {"headers": {"own": "x"}, "body": '{"id":2}'},
        {"headers": {"user": "alice"}, "body": "text"},
    ]
    assert (answer.headers["cursor"], answer.headers["result-code"]) == ("7", "1010")
    last = await serving(*ALL).call("/batch/pages/action", {}, cursor="7")
    assert (last.headers["cursor"], last.headers["result-code"]) == ("7", "0")


@pytest.mark.parametrize("kind", ["connector", "custom-node", "batch"])
async def test_an_action_that_is_not_there_is_named(kind: str) -> None:
    verb = "process" if kind == "custom-node" else "action"
    text = f"Error occurred: Service with name [hbpf.{kind}.nobody] does not exist!"
    answer = await serving(*ALL).call(f"/{kind}/nobody/{verb}", {}, user="alice")
    assert (answer.status, answer.headers["result-message"]) == (400, text)
    tested = await serving(*ALL)("GET", f"/{kind}/nobody/{verb}/test")
    assert (tested.status, tested.data) == (400, {"status": "Error", "message": text})


@pytest.mark.parametrize(
    "body", [b"{", b"hello", b'{"body": NaN}', b"\xff", b"[" * 100_000, b" \n", b'{"headers": {"n": -1e400}}']
)
async def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    answer = await serving(*ALL)("POST", "/custom-node/echo/process", body)
    assert (answer.status, answer.data["status"]) == (400, "Error")


async def test_an_action_that_takes_too_long_is_as_unreachable_as_one_in_a_queue() -> None:
    answer = await serving(*ALL, service_timeout=0.01).call("/custom-node/slow/process", {})
    assert answer.status == 504


async def test_stages_of_your_own_stand_around_a_call() -> None:
    async def stamped(visit: Visit, call_next: Way) -> Decided:
        return await call_next(visit.having({**visit.headers, "stamp": visit.node.name}))

    ask = Asked(open_service(load_settings(), Registry(ALL), None, [stamped]))
    assert (await ask.call("/custom-node/echo/process", {}, node_name="start")).headers["stamp"] == "start"


async def test_a_success_may_say_what_was_done() -> None:
    said = await serving(decide).call("/custom-node/decide/process", "told", **GIVEN)
    assert (said.headers["result-code"], said.headers["result-message"]) == ("0", "17 ordersbooked")
    both = await serving(decide).call("/custom-node/decide/process", "told to", **GIVEN)
    assert (both.headers["result-code"], both.headers["result-message"]) == ("1002", "to the first")


async def test_a_batch_says_on_its_last_page_what_was_done() -> None:
    @batch("told")
    async def told(message: Message[Any], cursor: str | None) -> Page:
        return Page([1], None if cursor else "2", reason="all listed")

    ask = serving(told)
    assert "iterator" in (await ask.call("/batch/told/action")).headers["result-message"]
    last = await ask.call("/batch/told/action", cursor="2")
    assert (last.headers["result-code"], last.headers["result-message"]) == ("0", "all listed")


async def test_a_custom_node_hands_over_one_message_at_most() -> None:
    async def told(*items: Any, next_cursor: str | None = None) -> Any:
        @custom_node("paging")
        async def paging(data: Any) -> Page:
            return Page(items, next_cursor)

        return await serving(paging).call("/custom-node/paging/process", {"id": 1}, user="alice")

    one = await told(Message({"own": "x"}, '"new"'))
    assert (one.data["body"], one.headers["own"], one.headers["user"]) == ('"new"', "x", "alice")
    assert one.headers["result-code"] == "0"
    assert (await told()).headers["result-code"] == "1003"
    for many in (await told(1, 2), await told(1, next_cursor="2"), await told(next_cursor="2")):
        assert many.headers["result-code"] == "1006"
        assert "over HTTP it can hand over one: make it a batch" in many.headers["result-message"]
        assert many.data["body"] == '{"id": 1}'


async def test_a_topology_is_started_by_the_name_of_a_connector() -> None:
    """Nobody has declared it: its name says all."""
    ask = serving(echo)
    assert (await ask("GET", "/connector/product-sync-cron-run-topology/action/test")).status == 200
    away = await ask.call("/connector/product-sync-cron-run-topology/action", {"id": 1})
    assert away.headers["result-code"] == "1006"
    assert "STARTING_POINT_DSN" in away.headers["result-message"]
    assert (await ask("GET", "/connector/list")).data == []
    for kind, name in (("connector", "run-topology"), ("batch", "a-b-run-topology")):
        assert (await ask("GET", f"/{kind}/{name}/action/test")).status == 400
