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
from support.waiting import eventually, progress, timely

from connectors import CustomNode, Message, Repeat
from deploy.broker import Broker
from deploy.private_node import DEAD_LETTER_SECONDS
from worker.broker.delays import LEVELS, LONGEST_DELAY_SECONDS, delay_of, delayed, tier_queues

MESSAGES = 500
LATEST_SECONDS = 1.5


@pytest.mark.parametrize("seconds", [0.125, 0.875, 1, 7, 31, 31.875, 32, 60, 3600, 86_400, LONGEST_DELAY_SECONDS])
def test_the_queues_that_a_message_passes_add_up_to_its_delay(seconds: float) -> None:
    publication = delayed(node("next"), b"", seconds, None)
    *words, node_id = publication.routing_key.split(".")
    passed = [level for level, word in zip(LEVELS, words, strict=True) if word != "0"]
    assert (delay_of(publication), node_id) == ((seconds, "n1"), "n1")
    assert publication.exchange == passed[0].exchange


@pytest.mark.parametrize(("asked", "waited"), [(0, 0.125), (0.2, 0.25), (1.1, 1.125), (59.5, 59.5)])
def test_a_delay_is_rounded_up_to_an_eighth_of_a_second(asked: float, waited: float) -> None:
    assert delay_of(delayed(node("next"), b"", asked, None)) == (waited, "n1")


def test_a_short_delay_passes_one_queue() -> None:
    names = [name for name, _ in tier_queues()]
    assert len(names) == len(set(names)) == 50
    assert {f"orchesty-worker.delay.{length}" for length in ("125ms", "1s", "31s", "32s", "1048576s")} <= set(names)
    for seconds in range(1, 32):
        *words, _ = delayed(node("next"), b"", seconds, None).routing_key.split(".")
        assert [word for word in words if word != "0"] == [str(seconds)]


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
            raise Repeat(timedelta(seconds=message.data["seconds"]))
        self.came.setdefault(number, time.monotonic())
        if len(self.came) == MESSAGES:
            self.is_complete.set()
        return message


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


@pytest.mark.timing
@pytest.mark.timeout(600)
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
    counts = worker.worker.counts
    await progress(lambda: counts[repeated] == MESSAGES, lambda: counts[repeated], what="parked messages")

    went = time.monotonic()
    await asyncio.to_thread(own_broker.stop)
    await asyncio.to_thread(own_broker.start)
    await eventually(lambda: worker.is_ready, seconds=30, what="a ready worker")
    back = time.monotonic()
    await progress(action.is_complete.is_set, lambda: len(action.came), what="messages that come back")

    due = {number: action.asked[number] + wanted for number, wanted in seconds.items()}
    late = {number: action.came[number] - due[number] for number in due}
    before = [late[number] for number in due if action.came[number] < went]
    overdue = [went - due[number] for number in due if action.came[number] >= went]
    missed = [action.came[number] - back for number in due if action.came[number] >= went and due[number] < back]
    after = [late[number] for number in due if due[number] >= back]
    print(f"away for {back - went:.1f} s; late by {max(before, default=0):.3f} s before it")
    print(f"late by {max(missed):.3f} s behind its end, {max(after, default=0):.3f} s after it")
    latest = timely(LATEST_SECONDS)
    assert min(late.values()) >= 0
    assert max(before, default=0) <= latest
    assert max(overdue) <= latest  # what is on its way when the broker goes is as late as the broker is away
    # A broker that starts hands on what was due meanwhile; where the node's queue was not up yet, it tries once more.
    assert max(missed) <= latest + DEAD_LETTER_SECONDS
    assert max(after, default=0) <= latest


async def test_without_a_restart_no_message_is_late(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("note", "note", "sink", prefetch=100), sink())
    action = Note()
    await run_worker(topology, action)
    seconds = {number: number % 20 + 1 for number in range(MESSAGES)}
    messages = [process_message({"number": number, "seconds": seconds[number]}) for number in range(MESSAGES)]
    await queues.publish(topology.exchange("note"), *messages)
    await progress(action.is_complete.is_set, lambda: len(action.came), what="messages that come back")
    late = [action.came[number] - action.asked[number] - wanted for number, wanted in seconds.items()]
    print(f"late by {sorted(late)[len(late) // 2]:.3f} s in the median, {max(late):.3f} s at worst")
    assert min(late) >= 0
    assert max(late) <= timely(LATEST_SECONDS)
