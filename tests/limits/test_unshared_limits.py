"""Limits of several workers that share no Redis: each notices the others, refuses, or takes its part."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.queues import Queues, process_message
from support.topologies import NodeEntry, TopologyFile, connector, sink
from support.waiting import eventually
from support.workers import InProcess

import applications
from applications import Application
from connectors import Connector, Message
from worker.broker.partitions import TRIAL_SECONDS
from worker.errors import LimitRefused, LimitsAway, SettingsError
from worker.limits.limit import KeyedLimit, parse_limits
from worker.limits.memory import MemoryReservations
from worker.limits.reservations import Turn, TurnRequest
from worker.limits.unshared import UnsharedReservations

KEY = "alice|shop;60;4"


class Shop(Application):
    """Allows few calls."""

    key = "shop"
    limit = applications.Limit(seconds=10, amount=3)


class Note(Connector[Any, Any]):
    """Notes when it is called."""

    name = "note"

    def __init__(self) -> None:
        self.times: list[float] = []

    async def process(self, message: Message[Any]) -> Message[Any]:
        self.times.append(time.monotonic())
        return message


class NoteOfShop(Note):
    """The same, for the shop."""

    name = "note-shop"
    application = Shop


def limited(action: str, *, prefetch: int = 20, **settings: Any) -> NodeEntry:
    entry = connector("ask", action, "sink", prefetch=prefetch, **settings)
    return NodeEntry(entry.name, entry.followers, entry.worker, "shop", entry.settings)


def divided(count: int) -> Sequence[UnsharedReservations]:
    own = [MemoryReservations(lambda: 0.0, guard_seconds=0) for _ in range(count)]
    return [UnsharedReservations(store, lambda: count, are_divided=True) for store in own]


async def turns(stores: Sequence[UnsharedReservations], limit: KeyedLimit) -> int:
    """Let each process take all turns of a moment that it gets."""
    given = 0
    for number, store in enumerate(stores):
        while isinstance(await store.ask(TurnRequest([limit], limit.key, f"{number}-{given}")), Turn):
            given += 1
    return given


@pytest.mark.parametrize(("amount", "count"), [(4, 4), (7, 2), (10, 3), (3, 1)])
async def test_the_parts_of_a_limit_are_never_more_than_the_whole(amount: int, count: int) -> None:
    (limit,) = parse_limits(f"alice|shop;10;{amount}")
    assert await turns(divided(count), limit) == amount // count * count


@pytest.mark.parametrize(("amount", "count"), [(3, 4), (1, 2)])
async def test_a_limit_that_has_less_than_a_call_for_each_process_is_refused(amount: int, count: int) -> None:
    (limit,) = parse_limits(f"alice|shop;10;{amount}")
    for store in divided(count):
        with pytest.raises(LimitRefused, match=f"at most {amount} of them"):
            await store.ask(TurnRequest([limit], limit.key, "m"))


async def test_nothing_goes_before_it_is_known_who_else_consumes() -> None:
    (limit,) = parse_limits(KEY)
    own = MemoryReservations(lambda: 0.0, guard_seconds=0)
    store = UnsharedReservations(own, lambda: None, are_divided=False)
    with pytest.raises(LimitsAway, match="not known yet"):
        await store.ask(TurnRequest([limit], limit.key, "m"))


def test_processes_among_which_an_applications_limit_cannot_be_divided_do_not_start(
    make_topology: MakeTopology,
) -> None:
    topology = make_topology(limited("note-shop"), sink())
    with pytest.raises(SettingsError, match="limit of shop, 3 calls per 10 s, cannot be divided among 4"):
        InProcess(topology, NoteOfShop(), amqp_url="amqp://127.0.0.1/", processes=4, limits_without_redis="divide")


async def publish(topology: TopologyFile, queues: Queues, count: int) -> None:
    headers = {"user": "alice", "limiter-key": KEY}
    await queues.publish(topology.exchange("ask"), *(process_message(n, key=str(n), **headers) for n in range(count)))


def lines(log_lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in log_lines if line["event"] == event]


async def test_of_two_workers_that_start_together_one_knows_of_the_other_at_once(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, log_lines: list[dict[str, Any]]
) -> None:
    topology, actions = make_topology(limited("note"), sink()), (Note(), Note())
    await queues.declare(topology.exchange("ask"), topology.queue("ask"))
    await publish(topology, queues, 60)
    await asyncio.gather(*(run_worker(topology, action) for action in actions))
    (line, *_) = await eventually(lambda: lines(log_lines, "limits_away"), what="the log line")
    assert "2 processes consume these queues" in line["cause"]
    assert [len(action.times) for action in actions if action.times] in ([4], [])
    assert len(lines(log_lines, "limits_away")) <= 2, "once for all messages of a worker"


async def test_workers_that_keep_order_by_key_know_of_each_other(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, log_lines: list[dict[str, Any]]
) -> None:
    topology, actions = make_topology(limited("note", orderBy="header:key"), sink()), (Note(), Note())
    workers = [await run_worker(topology, action) for action in actions]
    await eventually(
        lambda: [worker.worker.parts.intake.workers for worker in workers] == [2, 2],
        seconds=TRIAL_SECONDS + 10,
        what="two workers that know",
    )
    await publish(topology, queues, 20)
    await eventually(lambda: lines(log_lines, "limits_away"), what="the log line")
    assert not any(action.times for action in actions)


async def test_a_worker_goes_on_when_the_other_one_has_ended(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, log_lines: list[dict[str, Any]]
) -> None:
    topology, actions = make_topology(limited("note"), sink()), (Note(), Note())
    workers = [await run_worker(topology, action, silence_seconds=0.5) for action in actions]
    await eventually(
        lambda: [worker.worker.parts.intake.workers for worker in workers] == [2, 2],
        seconds=TRIAL_SECONDS + 10,
        what="two workers that know",
    )
    await publish(topology, queues, 4)
    await eventually(lambda: len(lines(log_lines, "limits_away")) == 2, what="both log lines")
    workers[0].worker.stop()
    await queues.read(topology.queue("sink"), 4, seconds=20)
    assert [len(action.times) for action in actions] == [0, 4]
    assert len(lines(log_lines, "limits_back")) == 1
