"""Consumers in order, when the broker has just been killed and started, and when a cancel is dropped."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress

import pytest
from conftest import MakeTopology
from support.queues import Queues, process_message
from support.topologies import TopologyFile, custom_node, sink
from support.waiting import eventually

from deploy.broker import Broker
from worker.broker.link import Session
from worker.broker.opening import broker_url as parsed
from worker.broker.opening import open_connection
from worker.broker.ordered import Handle, KeyedConsumer
from worker.broker.partitions import Partition, PartitionedConsumer
from worker.broker.publisher import Publisher
from worker.protocol.topology_file import load_topology
from worker.protocol.transport import Delivery

QUEUES = 20
COUNT = 15
TAKEN = 10
"""Messages of each queue that were in work when the broker died."""


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


async def test_nothing_begins_before_what_was_in_work_when_the_broker_died(
    make_topology: MakeTopology, queues: Queues, own_broker: Broker
) -> None:
    topology = make_topology(*(sink(str(number)) for number in range(QUEUES)), sink("last"))
    names = [topology.queue(str(number)) for number in range(QUEUES)]
    exchanges = [topology.exchange(str(number)) for number in range(QUEUES)]
    messages = [process_message({"n": n}) for n in range(COUNT)]
    for name, exchange in zip(names, exchanges, strict=True):
        await queues.declare(exchange, name)
        await queues.publish(exchange, *messages[:TAKEN])
    await take(queues, names)
    for exchange in exchanges:
        await queues.publish(exchange, *messages[TAKEN:])
    await write_elsewhere(queues, topology)
    own_broker.kill()
    own_broker.start()

    handled: list[list[int]] = [[] for _ in names]
    slots = asyncio.Semaphore(QUEUES)
    consumers = [
        KeyedConsumer(name, COUNT, noting(own), lambda _: "one key", slots)
        for name, own in zip(names, handled, strict=True)
    ]
    async with await open_connection(parsed(own_broker.url), "test") as connection:
        session = Session(connection)
        running = [asyncio.ensure_future(consumer.run(session)) for consumer in consumers]
        await eventually(lambda: all(len(own) == COUNT for own in handled), seconds=30, what="all messages")
        await asyncio.gather(*(consumer.stop(1) for consumer in consumers), *running)
    assert handled == [list(range(COUNT))] * QUEUES


async def write_elsewhere(queues: Queues, topology: TopologyFile) -> None:
    """Write to another queue: RabbitMQ 3.10 was seen not to answer for one that it wrote to when it was killed."""
    await queues.declare(topology.exchange("last"), topology.queue("last"))
    for _ in range(100):
        await queues.publish(topology.exchange("last"), process_message({}))


async def take(queues: Queues, names: Sequence[str]) -> None:
    """Take the first messages of each queue and keep them."""
    channel = await queues.channel()
    arrived: asyncio.Queue[object] = asyncio.Queue()
    await channel.basic_qos(prefetch_count=TAKEN)
    for name in names:
        await channel.basic_consume(name, arrived.put)
    for _ in range(TAKEN * len(names)):
        await arrived.get()


def noting(numbers: list[int]) -> Handle:
    async def note(delivery: Delivery) -> None:
        numbers.append(json.loads(json.loads(delivery.raw)["body"])["n"])

    return note


class DropsCancel(KeyedConsumer):
    """Ends when it is cancelled as if it had been stopped: the client can drop a cancel that comes with an error."""

    async def run(self, session: Session) -> None:
        """Wait for the cancel."""
        self.is_consuming = True
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def test_a_partition_that_was_given_up_ends_although_its_cancel_was_dropped(
    make_topology: MakeTopology, broker_url: str
) -> None:
    topology = make_topology(custom_node("work", "any", orderBy="body:key"))
    (node,) = load_topology(topology.path).nodes
    handle = noting([])
    consumer = PartitionedConsumer(
        node, lambda _, delivery: handle(delivery), Publisher(), lambda _: "key", lambda _: None
    )
    partition = Partition(DropsCancel("any", 1, handle, lambda _: "key", asyncio.Semaphore()))
    partition.is_wanted.set()
    async with await open_connection(parsed(broker_url), "test") as connection:
        serving = asyncio.ensure_future(consumer._serve(partition, Session(connection)))
        await eventually(lambda: partition.consumer.is_consuming, what="a consumer")
        partition.is_wanted.clear()
        serving.cancel()
        await asyncio.wait([serving], timeout=5)
    assert serving.cancelled()
