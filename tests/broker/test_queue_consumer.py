"""A consumer of one queue: what it acknowledges, when it is silent, and what becomes of messages when it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import aio_pika
import pamqp.frame
import pytest
from conftest import MakeTopology
from pamqp.commands import Basic
from support.ordering import numbers
from support.queues import Queues, bodies, process_message
from support.topologies import TopologyFile, sink
from support.waiting import eventually

from worker.broker.consumer import Acknowledgements, QueueConsumer, SharingConsumer
from worker.broker.leadership import QueueTurn
from worker.broker.link import Session
from worker.broker.opening import broker_url as parsed
from worker.broker.opening import open_connection
from worker.broker.outbox import Outbox
from worker.errors import ChannelLost
from worker.protocol.message import decode
from worker.protocol.transport import Delivery

COUNT = 5

Written = Callable[[], Awaitable[list[tuple[int, bool]]]]


@pytest.fixture
async def topology(make_topology: MakeTopology, queues: Queues) -> TopologyFile:
    made = make_topology(sink())
    await queues.declare(made.exchange("sink"), made.queue("sink"))
    return made


@pytest.fixture
async def session(broker_url: str) -> AsyncIterator[Session]:
    async with await open_connection(parsed(broker_url), "test") as connection:
        yield Session(connection)


class Work:
    """Handles messages; each ends when the test lets it."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.may_end = [asyncio.Event() for _ in range(COUNT)]
        self.settling: Collection[int] = ()
        """Messages whose outcome is being carried out."""

    async def __call__(self, delivery: Delivery) -> None:
        number = int(decode(delivery.raw, 1000).body)
        self.begun.append(number)
        delivery.is_settling = number in self.settling
        try:
            await self.may_end[number].wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise


@asynccontextmanager
async def consuming(consumer: QueueConsumer, session: Session) -> AsyncIterator["asyncio.Task[None]"]:
    """Consume until the context ends; all that is in work then goes back."""
    running = asyncio.create_task(consumer.run(session))
    try:
        yield running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, ChannelLost):
            await running


async def publish(queues: Queues, topology: TopologyFile, count: int = COUNT) -> None:
    await queues.publish(topology.exchange("sink"), *(process_message(number) for number in range(count)))


@pytest.mark.parametrize("done", [(0, 1, 3), (3, 4), (0, 1), (4,), (1, 0, 2)], ids=str)
async def test_what_is_in_work_is_not_acknowledged_with_what_is_done(
    topology: TopologyFile, queues: Queues, session: Session, done: tuple[int, ...]
) -> None:
    work = Work()
    consumer = QueueConsumer(topology.queue("sink"), COUNT, work)
    await publish(queues, topology)
    async with consuming(consumer, session):
        await eventually(lambda: len(work.begun) == COUNT, what="all messages in work")
        for number in done:
            work.may_end[number].set()
        await eventually(lambda: consumer.in_work == COUNT - len(done), what="the end of those that may end")

    left = [number for number in range(COUNT) if number not in done]
    assert bodies(await queues.read(topology.queue("sink"), len(left))) == left
    assert await queues.length(topology.queue("sink")) == 0


@pytest.fixture
async def written() -> tuple[Acknowledgements, Written]:
    """Acknowledgements of a channel, and what they have written: tag and `multiple` of each frame."""
    channel: Any = SimpleNamespace(number=1, takes_frames=True)
    outbox = Outbox()

    async def read() -> list[tuple[int, bool]]:
        outbox.flush()
        data = outbox.get_nowait().payload
        found: list[tuple[int, bool]] = []
        while data:
            size, _, frame = pamqp.frame.unmarshal(data)
            assert isinstance(frame, Basic.Ack)
            found.append((frame.delivery_tag, frame.multiple))
            data = data[size:]
        return found

    return Acknowledgements(channel, outbox), read


@pytest.mark.parametrize(
    ("done", "frames"),
    [
        ((1, 2, 4), [(2, True), (4, False)]),
        ((5, 4), [(4, False), (5, False)]),
        ((3, 1, 2), [(3, True)]),
        ((1,), [(1, False)]),
        ((2, 1, 3, 5, 4), [(5, True)]),
    ],
    ids=str,
)
async def test_one_frame_acknowledges_all_below_the_oldest_message_in_work(
    written: tuple[Acknowledgements, Written], done: tuple[int, ...], frames: list[tuple[int, bool]]
) -> None:
    acknowledgements, read = written
    for tag in range(1, COUNT + 1):
        acknowledgements.expect(tag)
    for tag in done:
        acknowledgements.acknowledge(tag)
    acknowledgements.flush()
    assert await read() == frames


async def test_a_consumer_whose_slots_are_all_taken_is_not_silent(
    topology: TopologyFile, queues: Queues, session: Session
) -> None:
    work = Work()
    consumer = QueueConsumer(topology.queue("sink"), 1, work)
    await publish(queues, topology)
    async with consuming(consumer, session) as running:
        await eventually(lambda: work.begun, what="a message in work")
        for _ in range(10):
            consumer.check(COUNT - 1, 1)
        for event in work.may_end:
            event.set()
        await eventually(lambda: len(work.begun) == COUNT or running.done(), what="the other messages")

        assert not running.done()
    assert work.begun == list(range(COUNT))


async def test_a_consumer_with_a_free_slot_that_gets_nothing_is_silent(
    topology: TopologyFile, queues: Queues, session: Session
) -> None:
    work = Work()
    consumer = QueueConsumer(topology.queue("sink"), 2, work)
    await publish(queues, topology, 1)
    async with consuming(consumer, session) as running:
        await eventually(lambda: work.begun, what="a message in work")
        for _ in range(3):
            consumer.check(1, 1)
        with pytest.raises(ChannelLost, match="silent although 1 messages wait"):
            await running


async def test_at_the_end_of_the_grace_what_is_being_published_may_finish(
    topology: TopologyFile, queues: Queues, session: Session
) -> None:
    work = Work()
    work.settling = {0}
    consumer = QueueConsumer(topology.queue("sink"), COUNT, work)
    await publish(queues, topology, 2)
    async with consuming(consumer, session):
        await eventually(lambda: len(work.begun) == 2, what="both messages in work")
        stopping = asyncio.create_task(consumer.stop(0.1))
        await eventually(lambda: work.cancelled, what="the end of the grace")
        work.may_end[0].set()
        await stopping

    assert work.cancelled == [1]
    assert bodies(await queues.read(topology.queue("sink"), 1)) == [1]
    assert await queues.length(topology.queue("sink")) == 0


async def test_a_worker_that_stops_as_its_consumer_begins_lets_what_is_in_work_finish(
    topology: TopologyFile, queues: Queues, session: Session
) -> None:
    stopping: list[asyncio.Task[None]] = []

    async def handle(delivery: Delivery) -> None:
        stopping.append(asyncio.create_task(consumer.stop(30)))  # the consumer has yet to look who else consumes
        await work(delivery)

    work = Work()
    consumer = QueueConsumer(topology.queue("sink"), 1, handle)
    await publish(queues, topology, 1)
    async with consuming(consumer, session):
        await eventually(lambda: work.begun, what="a message in work")
        work.may_end[0].set()
        await stopping[0]

    assert work.cancelled == []
    assert await queues.length(topology.queue("sink")) == 0


async def test_what_waits_for_a_slot_when_the_worker_stops_is_not_begun(
    topology: TopologyFile, queues: Queues, session: Session
) -> None:
    work = Work()
    consumer = SharingConsumer(topology.queue("sink"), COUNT, work, asyncio.Semaphore(1))
    await publish(queues, topology, 3)
    async with consuming(consumer, session):
        await eventually(lambda: consumer.in_work == 3, what="three messages, one of them in work")
        stopping = asyncio.create_task(consumer.stop(10))
        await asyncio.sleep(0)
        for event in work.may_end:
            event.set()
        await stopping

    assert work.begun == [0]
    assert bodies(await queues.read(topology.queue("sink"), 2)) == [1, 2]


async def test_a_turn_comes_when_a_consumer_without_the_lock_is_gone_and_its_messages_are_back(
    topology: TopologyFile, queues: Queues, session: Session, broker_url: str
) -> None:
    queue = topology.queue("sink")
    await queues.publish(topology.exchange("sink"), *(process_message({"n": number}) for number in range(COUNT + 3)))
    looked = asyncio.Event()

    def is_wanted() -> bool:
        looked.set()
        return True

    async with await aio_pika.connect(broker_url) as foreign:
        channel = await foreign.channel()
        await channel.set_qos(COUNT)
        taken: asyncio.Queue[object] = asyncio.Queue()
        await (await channel.get_queue(queue)).consume(taken.put)
        for _ in range(COUNT):
            await taken.get()
        taking = asyncio.create_task(QueueTurn(queue).take(session, is_wanted))
        waiting = asyncio.create_task(looked.wait())
        await asyncio.wait([taking, waiting], return_when=asyncio.FIRST_COMPLETED)
        assert not taking.done()

    assert await taking
    assert numbers(await queues.read(queue, COUNT + 3)) == list(range(COUNT + 3))
