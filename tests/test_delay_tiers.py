"""Delays in the broker: the arithmetic of the tiers, and messages that come back in time."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.queues import Queues, process_message
from support.topologies import custom_node, sink
from support.visits import node
from support.waiting import eventually

from connectors import CustomNode, Message, RepeatLater
from deploy.broker import Broker
from worker.broker.delays import (
    LONGEST_DELAY_SECONDS,
    STEP_SECONDS,
    TIERS,
    delay_of,
    delayed,
    tier_exchange,
    tier_queue,
)

MESSAGES = 500
LATEST_SECONDS = 1.5


@pytest.mark.parametrize("seconds", [0.125, 0.875, 1, 2, 3, 7, 60, 3600, 86_400, LONGEST_DELAY_SECONDS])
def test_the_tiers_that_a_message_passes_add_up_to_its_delay(seconds: float) -> None:
    publication = delayed(node("next"), b"", seconds, None)
    *digits, node_id = publication.routing_key.split(".")
    tiers = [TIERS - 1 - place for place, digit in enumerate(digits) if digit == "1"]
    assert (len(digits), node_id) == (TIERS, "n1")
    assert sum(2**tier for tier in tiers) * STEP_SECONDS == seconds
    assert publication.exchange == tier_exchange(tiers[0])


@pytest.mark.parametrize(("asked", "waited"), [(0, 0.125), (0.2, 0.25), (1.1, 1.125), (59.5, 59.5)])
def test_a_delay_is_rounded_up_to_an_eighth_of_a_second(asked: float, waited: float) -> None:
    assert delay_of(delayed(node("next"), b"", asked, None)) == (waited, "n1")


@pytest.mark.parametrize(("tier", "name"), [(0, "125ms"), (2, "500ms"), (3, "1s"), (9, "64s")])
def test_a_tier_is_named_by_its_length(tier: int, name: str) -> None:
    assert tier_queue(tier) == f"orchesty-worker.delay.{name}"


class Note(CustomNode[Any, Any]):
    """Repeats each message once, and notes when it was asked to and when it came back."""

    name = "note"

    def __init__(self) -> None:
        self.asked: dict[int, float] = {}
        self.came: dict[int, float] = {}
        self.is_complete = asyncio.Event()

    async def process(self, message: Message[Any]) -> Message[Any]:
        number = message.data["number"]
        if "repeat-hops" not in message.headers:
            self.asked[number] = time.monotonic()
            raise RepeatLater(timedelta(seconds=message.data["seconds"]))
        self.came.setdefault(number, time.monotonic())
        if len(self.came) == MESSAGES:
            self.is_complete.set()
        return message


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


async def test_delays_are_kept_over_a_restart_of_the_broker(
    own_broker: Broker, make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("note", "note", "sink", prefetch=100), sink())
    action = Note()
    worker = await run_worker(topology, action)
    seconds = {number: number % 20 + 1 for number in range(MESSAGES)}
    messages = [process_message({"number": number, "seconds": seconds[number]}) for number in range(MESSAGES)]
    await queues.publish(topology.exchange("note"), *messages)
    repeated = (topology.node_id("note"), "repeated")
    await eventually(lambda: worker.worker.counts[repeated] == MESSAGES, seconds=30, what="all messages parked")

    went = time.monotonic()
    await asyncio.to_thread(own_broker.stop)
    await asyncio.to_thread(own_broker.start)
    await eventually(lambda: worker.is_ready, seconds=30, what="a ready worker")
    back = time.monotonic()
    async with asyncio.timeout(60):
        await action.is_complete.wait()

    late = {number: action.came[number] - action.asked[number] - wanted for number, wanted in seconds.items()}
    before = [late[number] for number in late if action.came[number] < went]
    over = [late[number] for number in late if action.came[number] >= went]
    print(f"away for {back - went:.1f} s; late by {max(before, default=0):.3f} s before it, {max(over):.3f} s over it")
    assert min(late.values()) >= 0
    assert max(before, default=0) <= LATEST_SECONDS
    # What a message waited for in one tier while the broker was away does not shorten the tiers below, so an outage
    # delays it by no more than its own length.
    assert max(over) <= back - went + LATEST_SECONDS


async def test_without_a_restart_no_message_is_late(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("note", "note", "sink", prefetch=100), sink())
    action = Note()
    await run_worker(topology, action)
    seconds = {number: number % 20 + 1 for number in range(MESSAGES)}
    messages = [process_message({"number": number, "seconds": seconds[number]}) for number in range(MESSAGES)]
    await queues.publish(topology.exchange("note"), *messages)
    async with asyncio.timeout(60):
        await action.is_complete.wait()
    late = [action.came[number] - action.asked[number] - wanted for number, wanted in seconds.items()]
    print(f"late by {sorted(late)[len(late) // 2]:.3f} s in the median, {max(late):.3f} s at worst")
    assert min(late) >= 0
    assert max(late) <= LATEST_SECONDS
