"""A message that ends its worker: those beside it get through, and it goes to the trash alone."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from hypothesis import given, settings
from hypothesis import strategies as st
from support.proxy import Proxy
from support.queues import Queues, bodies, process_message
from support.topologies import custom_node, sink
from support.trashed import trashed
from support.waiting import eventually

from connectors import CustomNode, Message
from worker.broker import link
from worker.pipeline import suspects
from worker.pipeline.suspects import SUSPECT_DELIVERIES, Suspects
from worker.protocol.transport import Delivery

MOST_DELIVERIES = 18


@pytest.fixture(autouse=True)
def quickly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "queues" not in request.fixturenames:
        monkeypatch.setattr(suspects, "GATHER_SECONDS", 0)
        monkeypatch.setattr(suspects, "ACKNOWLEDGED_SECONDS", 0)


class Crash(BaseException):
    """What ends a process."""


async def until_crash(waiting: dict[bytes, int], guilty: Collection[bytes], *, is_uncounted: bool = False) -> None:
    """Deliver all that waits to a process, and note what it leaves when a guilty one has ended it."""
    crashed = asyncio.Event()

    async def work(delivery: Delivery) -> None:
        if delivery.raw in guilty:
            crashed.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        del waiting[delivery.raw]

    process = in_process(work)
    async with asyncio.TaskGroup() as group:
        deliveries = [
            Delivery(raw, None, 1 if is_uncounted else times, is_uncounted=is_uncounted and times > 1)
            for raw, times in waiting.items()
        ]
        tasks = [group.create_task(process(delivery)) for delivery in deliveries]
        await crashed.wait()
        for task in tasks:
            task.cancel()
    for raw in waiting:
        waiting[raw] += 1


def in_process(work: Callable[[Delivery], Awaitable[None]]) -> Callable[[Delivery], Coroutine[Any, Any, None]]:
    """Return how a process of its own takes its deliveries."""
    suspects = Suspects()

    async def deliver(delivery: Delivery) -> None:
        is_suspect = delivery.deliveries >= SUSPECT_DELIVERIES or delivery.is_uncounted
        async with suspects.turn(delivery) if is_suspect else nullcontext():
            await work(delivery)

    return deliver


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(0, 39))
async def test_one_guilty_message_takes_no_other_along_for_long(count: int, guilty: int) -> None:
    raws = [str(number).encode() for number in range(count)]
    waiting, doomed = dict.fromkeys(raws, 1), raws[guilty % count]
    while len(waiting) > 1:
        assert waiting[doomed] <= SUSPECT_DELIVERIES + 1
        await until_crash(waiting, {doomed})
    assert set(waiting) == {doomed}


@settings(max_examples=50)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=40), st.integers(0, 39))
async def test_nor_those_that_came_back_for_other_reasons(times: list[int], guilty: int) -> None:
    waiting = {str(number).encode(): deliveries for number, deliveries in enumerate(times)}
    doomed = str(guilty % len(times)).encode()
    while set(waiting) != {doomed}:
        await until_crash(waiting, {doomed})
        assert all(waiting[raw] < MOST_DELIVERIES for raw in waiting if raw != doomed)


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(0, 39))
async def test_nor_where_the_queue_does_not_count(count: int, guilty: int) -> None:
    raws = [str(number).encode() for number in range(count)]
    waiting, doomed = dict.fromkeys(raws, 1), raws[guilty % count]
    while len(waiting) > 1:
        assert waiting[doomed] <= 60  # the chance that an innocent one is still there is one in 2^53
        await until_crash(waiting, {doomed}, is_uncounted=True)
    assert set(waiting) == {doomed}


async def test_several_guilty_messages_take_no_other_along_for_ever() -> None:
    raws = [str(number).encode() for number in range(100)]
    waiting, doomed = dict.fromkeys(raws, 1), {raws[30], raws[60]}
    while set(waiting) != doomed:
        await until_crash(waiting, doomed)
        assert max(waiting.values()) < MOST_DELIVERIES


async def test_a_suspect_that_works_for_long_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "ALONE_SECONDS", 0.01)
    both = asyncio.Barrier(2)

    async def work(_: Delivery) -> None:
        await both.wait()

    process = in_process(work)
    await asyncio.gather(*(process(Delivery(raw, None, 3)) for raw in (b"a", b"b")))


async def test_what_stood_behind_goes_before_when_all_come_back_to_the_same_process() -> None:
    """A lost connection takes the messages along, not the process."""
    begun: list[bytes] = []

    async def work(delivery: Delivery) -> None:
        begun.append(delivery.raw)
        await asyncio.Event().wait()

    process, raws = in_process(work), [str(number).encode() for number in range(5)]
    for deliveries in (SUSPECT_DELIVERIES, SUSPECT_DELIVERIES + 1):
        tasks = [asyncio.create_task(process(Delivery(raw, None, deliveries))) for raw in raws]
        await eventually(lambda wanted=deliveries - SUSPECT_DELIVERIES + 1: len(begun) == wanted, what="the first")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    in_order = sorted(raws, key=lambda raw: suspects.rank(raw, SUSPECT_DELIVERIES))
    assert begun == [in_order[0], in_order[-1]]


async def test_a_worker_that_is_lost_again_and_again_lets_the_innocent_through(
    make_topology: MakeTopology,
    queues: Queues,
    run_worker: RunWorker,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "LONGEST_PAUSE_SECONDS", 0.1)

    class LoseTheBroker(CustomNode[Any, Any]):
        """To the broker a worker that loses its connection has vanished."""

        name = "lose-the-broker"

        async def process(self, message: Message[Any]) -> Message[Any]:
            if message.data == "guilty":
                proxy.reset()
            await asyncio.sleep(timedelta(milliseconds=200).total_seconds())
            return message

    topology = make_topology(custom_node("work", "lose-the-broker", "sink"), sink())
    for name in topology.names:
        await queues.declare(topology.exchange(name), topology.queue(name))
    names = [f"innocent {number}" for number in range(8)]
    await queues.publish(topology.exchange("work"), *map(process_message, [*names[:4], "guilty", *names[4:]]))
    worker = await run_worker(topology, LoseTheBroker(), amqp_url=proxy.url, max_deliveries=9, is_awaited=False)

    arrived: set[str] = set()  # some come twice: their acknowledgement is lost with the connection
    while arrived != set(names):
        arrived.update(bodies(await queues.read(topology.queue("sink"), 1)))
    assert (await trashed(worker)).body == '"guilty"'
