"""`worker.testing`: a topology in memory. `test_memory_and_broker.py` compares it with RabbitMQ."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.actions import Copy, RepeatOnce, Sleep
from support.shop import PAGES, AddVat, GetOrder, ListOrders

from connectors import Connector, Forward, Limited, Message, Repeat
from worker import WorkerError
from worker.testing import (
    ActionCall,
    EndlessRun,
    FakeClock,
    InMemoryTopology,
    Reply,
    RunCounts,
    UnexpectedRequest,
    answering,
)
from worker.trash.entry import Entry

ORDER = {"id": 17, "total": 99.5}


def node(name: str, worker: str, path: str, *followers: str, **settings: Any) -> Mapping[str, Any]:
    return {
        "id": f"id-of-{name}",
        "name": name,
        "worker": worker,
        "application": "shop",
        "settings": {"actionPath": path, **settings},
        "followers": [{"id": f"id-of-{follower}", "name": follower} for follower in followers],
    }


def custom(name: str, action: str, *followers: str, **settings: Any) -> Mapping[str, Any]:
    return node(name, "worker.custom_node", f"/custom-node/{action}/process", *followers, **settings)


def connector(name: str, action: str, *followers: str, **settings: Any) -> Mapping[str, Any]:
    return node(name, "worker.http", f"/connector/{action}/action", *followers, **settings)


def topology(*nodes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"id": "t", "name": "orders", "nodes": list(nodes)}


GET_AND_TAX = topology(connector("get", "shop-get-order", "tax"), custom("tax", "add-vat", "done"))


async def test_messages_pass_from_node_to_node() -> None:
    async with InMemoryTopology(GET_AND_TAX, [GetOrder, AddVat()], http=answering(ORDER)) as running:
        run = await running.start("get", {"id": 17}, user="alice", headers={"own": "1"})
        await running.run()
        (message,) = running.messages("done")
        assert message.data == {"id": 17, "total": 120.39}
        assert (message.headers["user"], message.headers["own"]) == ("alice", "1")
        assert message.headers["previous-node-id"] == "id-of-tax"
        (call,) = running.calls("tax")
        assert isinstance(call.outcome, Forward)
        assert call.message.data == ORDER
        assert call == ActionCall(call.message, Forward(call.outcome.message))
        counts = running.counts(run)
        assert counts == RunCounts(total=3, succeeded=2, failed=0)
        assert not counts.is_finished


async def test_the_clock_jumps_to_what_is_due_and_not_beyond() -> None:
    again = Reply(503, headers={"retry-after": "300"})
    async with InMemoryTopology(GET_AND_TAX, [GetOrder, AddVat], http=answering(again, again, ORDER)) as running:
        await running.start("get", {"id": 17})
        await running.run(within=timedelta(0))
        assert [type(call.outcome) for call in running.calls("get")] == [Repeat]
        await running.run(within=timedelta(seconds=299))
        assert (len(running.calls("get")), running.clock()) == (1, 299)
        await running.run()
        assert (running.data("done"), running.clock()) == ([{"id": 17, "total": 120.39}], 600)
        assert isinstance(running.clock, FakeClock)
        assert running.clock.now.isoformat() == "2026-01-01T00:10:00+00:00"


async def test_a_limit_holds_by_the_clock_of_the_test() -> None:
    class Slowed(Connector[Any, Any]):
        """Says once that its limit is used up."""

        name = "limited"

        async def process(self, message: Message[Any]) -> Message[Any]:
            if message.data == "greedy" and "limit-return-exchange" not in message.headers:
                raise Limited("slow down", after=timedelta(hours=1))
            return message

    async with InMemoryTopology(topology(connector("call", "limited", "done")), [Slowed]) as running:
        for _ in range(6):
            await running.start("call", "x", headers={"limiter-key": "alice|shop;10;2"})
        await running.start("call", "greedy")
        await running.run(within=timedelta(seconds=9))
        assert running.data("done") == ["x"] * 2
        await running.run(within=timedelta(seconds=60))
        assert running.data("done") == ["x"] * 6
        await running.run()
        assert running.data("done") == [*["x"] * 6, "greedy"]
        assert running.clock() >= 3600


async def test_an_action_that_does_not_answer_is_tried_again_and_given_up_without_waiting() -> None:
    slow = topology(custom("slow", "sleep", "done", timeout=0.01))
    async with InMemoryTopology(slow, [Sleep()]) as running:
        await running.start("slow", {"seconds": 60})
        await running.run()
        (entry,) = await running.trash()
        assert entry.reason is not None
        assert "given up after too many failures in a row" in entry.reason
        assert running.clock() > 30


async def test_user_tasks_and_trash_wait_for_a_decision() -> None:
    asked = topology(node("ask", "worker.userTask", "", "tax"), custom("tax", "add-vat", "done"))
    async with InMemoryTopology(asked, [AddVat()]) as running:
        for data in (ORDER, "no order", ORDER):
            await running.start("ask", data)
        await running.run()
        odd, *orders = sorted(await running.user_tasks(), key=lambda task: task.text)
        assert (odd.text, len(orders)) == ('"no order"', 2)
        await running.approve(odd, orders[0])
        await running.reject(orders[1])
        await running.run()
        assert len(running.data("done")) == 1
        (entry,) = await running.trash()
        assert entry.text == '"no order"'
        assert await running.user_tasks() == []


async def test_a_trashed_message_of_elsewhere_goes_to_the_node_of_its_name() -> None:
    async with InMemoryTopology(GET_AND_TAX, [GetOrder, AddVat], http=answering(Reply(404))) as running:
        run = await running.start("get", {"id": 18})
        await running.run()
        (entry,) = await running.trash()
    elsewhere = topology({**connector("get", "shop-get-order", "done"), "id": "another-id"})
    async with InMemoryTopology(elsewhere, [GetOrder], http=answering(ORDER)) as running:
        await running.send(entry)
        await running.run()
        (message,) = running.messages("done")
        assert (message.data, message.headers["correlation-id"]) == (ORDER, run)


async def test_only_the_chosen_nodes_are_worked_on() -> None:
    async with InMemoryTopology(GET_AND_TAX, [GetOrder], http=answering(ORDER), nodes=["get"]) as running:
        await running.start("get", {"id": 17})
        await running.run()
        assert (running.data("tax"), running.data("done")) == ([ORDER], [])


async def test_a_prefetch_of_one_keeps_the_order_and_a_larger_one_works_at_once() -> None:
    for prefetch, order in ((1, [0.02, 0]), (2, [0, 0.02])):
        sleeping = topology(custom("sleep", "sleep", "done", rabbitPrefetch=prefetch))
        async with InMemoryTopology(sleeping, [Sleep()]) as running:
            for seconds in (0.02, 0):
                await running.start("sleep", {"seconds": seconds})
            await running.run()
            assert [data["seconds"] for data in running.data("done")] == order


async def test_a_circle_ends_the_run() -> None:
    circle = topology(custom("there", "copy", "back"), custom("back", "copy", "there"))
    async with InMemoryTopology(circle, [Copy()], max_messages=100) as running:
        await running.start("there", "x")
        with pytest.raises(EndlessRun, match="more than 100 messages in one run; taken so far: there 50, back 50"):
            await running.run()


async def test_repeats_with_a_circle_through_time_end_too() -> None:
    circle = topology(custom("there", "repeat-once", "there"))
    async with InMemoryTopology(circle, [RepeatOnce()], max_messages=100) as running:
        await running.start("there", {"seconds": 1})
        with pytest.raises(EndlessRun):
            await running.run()


async def test_a_request_that_nothing_answers_fails_the_run() -> None:
    async with InMemoryTopology(GET_AND_TAX, [GetOrder, AddVat]) as running:
        await running.start("get", {"id": 17})
        with pytest.raises(UnexpectedRequest, match=r"give http=answering\(\.\.\.\)"):
            await running.run()
        assert await running.trash() == []


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    """A module with an action."""
    source = (
        "from connectors import CustomNode\n\n\nclass Same(CustomNode):\n    name = 'same'\n\n"
        "    async def process(self, message):\n        return message\n"
    )
    (tmp_path / "in_memory_actions.py").write_text(source)
    sys.path.insert(0, str(tmp_path))
    yield "in_memory_actions"
    sys.path.remove(str(tmp_path))
    sys.modules.pop("in_memory_actions", None)


async def test_topology_and_actions_come_from_files(tmp_path: Path, module: str) -> None:
    path = tmp_path / "topology.json"
    path.write_text(json.dumps(topology(custom("same", "same", "done"))))
    for place in (path, str(path)):
        async with InMemoryTopology(place, [module]) as running:
            await running.start("id-of-same", body="no JSON")
            await running.run()
            assert [message.body for message in running.messages("done")] == ["no JSON"]


async def test_what_cannot_run_says_why() -> None:
    with pytest.raises(WorkerError, match="which is not in this process"):
        InMemoryTopology(GET_AND_TAX, [GetOrder])
    async with InMemoryTopology(GET_AND_TAX, [GetOrder, AddVat]) as running:
        with pytest.raises(ValueError, match="no node 'gte'; there are: get, tax"):
            await running.start("gte")


async def test_a_batch_that_fans_out_gives_each_item_an_id_of_its_own() -> None:
    batch = node("list", "worker.batch", "/batch/shop-list-orders/action", "a", "b")
    ids: list[Sequence[str]] = []
    for _ in range(2):
        async with InMemoryTopology(topology(batch), [ListOrders], http=answering(*PAGES)) as running:
            await running.start("list", headers={"process-id": "p"})
            await running.run()
            messages = [*running.messages("a"), *running.messages("b")]
            assert [message.data["id"] for message in messages] == [1, 2, 1, 2]
            ids.append([message.headers["process-id"] for message in messages])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 4


async def test_leaving_drops_what_is_in_work() -> None:
    entries: list[Entry] = []
    async with InMemoryTopology(topology(custom("sleep", "sleep", "done")), [Sleep()]) as running:
        await running.start("sleep", {"seconds": 60})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await running.run()
        entries += await running.trash()
        assert running.data("done") == []
    assert entries == []
