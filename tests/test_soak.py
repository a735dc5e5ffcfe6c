"""Many messages, while workers are killed and the broker restarts: none lost, and copies can be told."""

import asyncio
import signal
import time
from collections import Counter

import pytest
from conftest import MakeTopology, StartWorker
from support.queues import ProcessMessage, Queues, process_message
from support.topologies import custom_node, pass_on, sink
from support.waiting import eventually

from deploy.broker import Broker

MESSAGES = 20_000
KILLS = 5
RESTARTS = {1: "stop", 3: "stop"}
"""After which kill the broker is restarted."""


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


async def test_every_message_arrives_and_duplicates_have_equal_ids(
    own_broker: Broker, make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(
        pass_on("start", "copy", prefetch=50),
        custom_node("copy", "copy", "end", "other", prefetch=50),
        pass_on("end", "sink", prefetch=50),
        pass_on("other", prefetch=50),
        sink(),
    )
    worker = await start_worker(topology, max_deliveries=100)
    began = time.monotonic()
    arrived: list[ProcessMessage] = []
    share = MESSAGES // (KILLS + 1)
    for kill in range(KILLS + 1):
        numbers = range(kill * share, MESSAGES if kill == KILLS else (kill + 1) * share)
        await queues.publish(topology.exchange("start"), *(process_message(number) for number in numbers))
        if kill == KILLS:
            break
        worker.signal(signal.SIGKILL)
        await worker.ended()
        if kill in RESTARTS:
            await asyncio.to_thread(getattr(own_broker, RESTARTS[kill]))
            await asyncio.to_thread(own_broker.start)
        await worker.start()
        await worker.wait_until_ready()

    async def is_complete() -> bool:
        arrived.extend(await queues.read_all(topology.queue("sink")))
        return len({message.data for message in arrived}) == MESSAGES

    await eventually(is_complete, seconds=120, what="all messages")
    copies = Counter(message.data for message in arrived)
    ids = {(message.data, message.headers["process-id"]) for message in arrived}
    print(f"{MESSAGES} messages, {len(arrived) - MESSAGES} duplicates, {time.monotonic() - began:.0f} s")
    assert set(copies) == set(range(MESSAGES))
    assert len(ids) == MESSAGES
