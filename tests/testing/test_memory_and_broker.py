"""One suite for a topology in memory and on RabbitMQ, and the same messages on both, header by header."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.actions import Copy, CopyConnector, RepeatOnce
from support.both import InMemory, OnRabbitMQ, Running, comparable, entry_facts
from support.queues import ProcessMessage, Queues
from support.topologies import NodeEntry, TopologyFile, connector, custom_node, pass_on, sink

from connectors import Batch, CustomNode, Forward, Limited, Message, Page, Repeat, Stop, Trash
from connectors.action import Action
from worker.trash.entry import EntryState, EntryType

Begin = Callable[[str, TopologyFile, Sequence[Action[Any, Any]]], Any]
PLACES = ("memory", "rabbitmq")


class Split(Batch[Any, Any]):
    """Pages of two numbers up to the number in the body; the last one has a header of its own."""

    name = "split"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        first, end = int(cursor or 0), message.data["count"]
        numbers: list[Any] = list(range(first, min(first + 2, end)))
        if first + 2 < end:
            return Page(numbers, next_cursor=str(first + 2))
        return Page([*numbers, message.with_data("last").with_headers({"user": "bob"})])


class Route(CustomNode[Any, Any]):
    """Sends even numbers to one follower, drops the number 1, and refuses 3."""

    name = "route"

    async def process(self, message: Message[Any]) -> Message[Any] | Forward:
        if message.data == 1:
            raise Stop("one is enough")
        if message.data == 3:
            raise Trash("three is too many")
        if message.data == "last":
            return message
        return Forward(message, to=("even",))


class LimitOnce(CustomNode[Any, Any]):
    """Says once that the limit of its service is used up."""

    name = "limit-once"

    async def process(self, message: Message[Any]) -> Message[Any]:
        if "limit-return-exchange" not in message.headers:
            raise Limited("slow down", after=timedelta(seconds=1))
        return message


class RepeatAlways(CustomNode[Any, Any]):
    """Never gets anywhere."""

    name = "repeat-always"

    async def process(self, message: Message[Any]) -> Message[Any]:
        raise Repeat(timedelta(seconds=1), "still closed", max_hops=2)


def first_message(data: Any, **headers: Any) -> ProcessMessage:
    """Return a message with all headers that `start` gives it, so that they are the same everywhere."""
    ids = {"correlation-id": "run-1", "process-id": "process-1", "parent-id": "", "own-header": "kept"}
    facts = {"topology-id": "", "topology-name": "faults", "content-type": "application/json", "process-started": 1}
    return ProcessMessage({**ids, **facts, **headers}, json.dumps(data))


@pytest.fixture
async def begin(run_worker: RunWorker, queues: Queues) -> AsyncIterator[Begin]:
    """Run a topology in memory or on RabbitMQ."""
    opened: list[InMemory] = []

    async def run(place: str, topology: TopologyFile, actions: Sequence[Action[Any, Any]]) -> Running:
        if place == "memory":
            opened.append(InMemory(topology, actions))
            return opened[-1]
        running = OnRabbitMQ(topology, queues)
        await running.begin(run_worker, actions)
        return running

    yield run
    for running in opened:
        await running.running.__aexit__(None, None, None)


def batch(name: str, action: str, *followers: str) -> NodeEntry:
    return NodeEntry(name, followers, "worker.batch", settings={"actionPath": f"/batch/{action}/action"})


def sorted_by_id(messages: Sequence[ProcessMessage]) -> list[Mapping[str, Any]]:
    return sorted(map(comparable, messages), key=lambda message: message["headers"]["process-id"])


async def test_batches_with_pages_copies_routes_and_refusals_give_the_same_messages(
    make_topology: MakeTopology, begin: Begin
) -> None:
    topology = make_topology(
        pass_on("start", "split"),
        batch("split", "split", "route", "log"),
        custom_node("route", "route", "even", "odd"),
        sink("even"),
        sink("odd"),
        sink("log"),
    )
    seen = {}
    for place in PLACES:
        running = await begin(place, topology, [Split(), Route()])
        await running.start("start", first_message({"count": 5}, user="alice"))
        even, odd = await running.received("even", 4), await running.received("odd", 1)
        log = await running.received("log", 6)
        (trashed,) = await running.waiting(1)
        assert sorted(str(message.data) for message in even) == ["0", "2", "4", "last"]
        assert [(message.data, message.headers["user"]) for message in odd] == [("last", "bob")]
        assert (trashed.reason, trashed.type) == ("three is too many", EntryType.TRASH)
        seen[place] = [*map(sorted_by_id, (even, odd, log)), entry_facts(trashed)]
    assert seen["memory"] == seen["rabbitmq"]


async def test_repeats_and_limits_give_the_same_messages(make_topology: MakeTopology, begin: Begin) -> None:
    limit_key = "alice|shop;2;1"
    copy = replace(connector("copy", "copy", "sink"), application="shop")
    topology = make_topology(
        custom_node("repeat", "repeat-once", "limit"),
        custom_node("limit", "limit-once", "copy"),
        copy,
        custom_node("closed", "repeat-always", "sink"),
        sink(),
    )
    seen = {}
    for place in PLACES:
        running = await begin(place, topology, [RepeatOnce(), LimitOnce(), CopyConnector(), RepeatAlways()])
        for number in range(2):
            message = first_message({"seconds": 1, "number": number}, user="alice", **{"limiter-key": limit_key})
            await running.start("repeat", replace(message, headers={**message.headers, "process-id": f"p-{number}"}))
        await running.start("closed", first_message(None))
        received = await running.received("sink", 2)
        (trashed,) = await running.waiting(1)
        assert trashed.reason == "max repeat limit reached, still closed"
        seen[place] = [sorted_by_id(received), entry_facts(trashed)]
    assert seen["memory"] == seen["rabbitmq"]


async def test_a_persons_decision_gives_the_same_messages(make_topology: MakeTopology, begin: Begin) -> None:
    topology = make_topology(
        NodeEntry("ask", ("copy",), "worker.userTask"),
        custom_node("copy", "copy", "sink"),
        sink(),
    )
    seen = {}
    for place in PLACES:
        running = await begin(place, topology, [Copy()])
        await running.start("ask", first_message("question", user="alice"))
        (task,) = await running.waiting(1)
        assert task.type is EntryType.USER_TASK
        await running.decide(task, EntryState.APPROVED)
        received = await running.received("sink", 1)
        seen[place] = [sorted_by_id(received), entry_facts(task)]
    assert seen["memory"] == seen["rabbitmq"]


@pytest.mark.parametrize("place", PLACES)
async def test_an_unreadable_message_is_trashed_with_its_bytes(
    make_topology: MakeTopology, begin: Begin, queues: Queues, place: str
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    running = await begin(place, topology, [])
    if isinstance(running, InMemory):
        running.running._broker.put(topology.exchange("start"), b"{broken")
    else:
        await queues.publish_raw(topology.exchange("start"), b"{broken")
    (entry,) = await running.waiting(1)
    assert (entry.raw, entry.is_readable) == (b"{broken", False)
    assert entry.reason is not None
    assert entry.reason.startswith("not a process message")
