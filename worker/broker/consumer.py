"""Consuming one node's queue: deliveries in, acknowledgements out."""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import aiormq
import structlog

from worker.broker import frames
from worker.broker.link import (
    CLOSE_SECONDS,
    CONNECTION_ERRORS,
    Session,
    raise_swallowed_cancel,
    why_closed,
)
from worker.broker.objects import RPC_SECONDS
from worker.broker.opening import Channel
from worker.broker.outbox import Outbox
from worker.errors import ChannelLost, HandBack
from worker.protocol.transport import Delivery

log = structlog.get_logger()

TAG = "worker"
"""The consumer's name on its channel, which has no other."""

SETTLE_SECONDS = 5
"""What a message that is being published may take on top of the grace."""

LOST_BY = ("silent", "unknown", "cancelled", "channel_closed", "handed_back")
"""Why a consumer ends that nobody has stopped."""

_TOO_FAR = 1 << 62

STRIKES = 2
"""Checks in a row without a delivery, though messages wait, until a consumer counts as silent."""


class Acknowledgements:
    """Acknowledges the deliveries of one channel, those of one turn of the event loop together."""

    def __init__(self, channel: Channel, outbox: Outbox) -> None:
        self._channel = channel
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, None] = {}
        self._settled: list[int] = []

    def expect(self, tag: int) -> None:
        """A delivery has arrived."""
        self._open[tag] = None

    def acknowledge(self, tag: int) -> None:
        """The message is done."""
        del self._open[tag]
        if not self._settled:
            self._loop.call_soon(self.flush)
        self._settled.append(tag)

    def hand_back(self, tag: int) -> None:
        """The broker shall deliver the message again."""
        del self._open[tag]
        if self._channel.takes_frames:
            self._outbox.write(frames.hand_back(self._channel.number, tag))

    def flush(self) -> None:
        """Write what is acknowledged: one frame for all below the oldest open delivery, one each for the rest."""
        tags, self._settled = sorted(self._settled), []
        if not tags or not self._channel.takes_frames:
            return
        number = self._channel.number
        together = bisect_left(tags, next(iter(self._open), tags[-1] + 1))
        if together:
            self._outbox.write(frames.acknowledge(number, tags[together - 1], multiple=together > 1))
        for tag in tags[together:]:
            self._outbox.write(frames.acknowledge(number, tag, multiple=False))

    async def ask(self, prefetch: int) -> None:
        """Ask the channel something that changes nothing; the answer comes behind what is acknowledged by now."""
        self.flush()
        await self._channel.basic_qos(prefetch_count=prefetch, timeout=RPC_SECONDS)


def delivery_of(message: aiormq.abc.DeliveredMessage) -> Delivery:
    """Return what the broker has delivered, as we use it."""
    properties = message.header.properties.headers or {}
    has_returned = bool(message.redelivered)
    count = _integer(properties.get("x-delivery-count")) if has_returned else None  # else it is the publisher's
    return Delivery(
        message.body,
        _integer(properties.get("published-timestamp")),
        (count or 0) + 1,
        message.delivery_tag or 0,
        message.routing_key or "",
        is_uncounted=has_returned and count is None,
    )


def _integer(value: object) -> int | None:
    """Return a whole number that can be sent on in a header; publishers may send anything."""
    return value if type(value) is int and abs(value) < _TOO_FAR else None


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the broker says of a queue."""

    messages: int
    """Ready to be delivered."""
    consumers: int

    def with_others(self, others: Iterable["QueueState"]) -> "QueueState":
        """Add the messages of the node's other queues."""
        return QueueState(self.messages + sum(other.messages for other in others), self.consumers)


class QueueConsumer:
    """Consumes one queue, over the life of many channels.

    `handle` gets each delivery in a task of our own, because aiormq cancels the tasks that it starts when a channel
    closes. When it returns, the message is acknowledged; when it raises `HandBack` or is cancelled, the broker
    delivers the message again; any other error is a bug and ends `run`. When the channel is lost, running handlers
    are cancelled: the broker has taken their messages back and gives them to the next consumer.
    """

    def __init__(self, queue: str, prefetch: int, handle: Callable[[Delivery], Awaitable[None]]) -> None:
        self.queue = queue
        self.is_consuming = False
        self._may_deliver = False
        self._is_stopping = False
        self._prefetch = prefetch
        self._handle = handle
        self._tasks: dict[asyncio.Task[None], Delivery] = {}
        self._arrived = self._arrived_before = self._arrived_earlier = self._strikes = 0
        self.seen: QueueState | None = None
        """The queue at the latest look, the first one right after the consumer began; None before."""
        self.takes_turns = False
        """Whether the broker lets one consumer of the queue work at a time."""
        self.lost_by = ""
        """Why `run` ended: one of `LOST_BY`."""

    async def run(self, session: Session) -> None:
        """Consume. Raises `ChannelLost` (or another of `CONNECTION_ERRORS`) when that ends; `stop` cancels it."""
        self._channel = channel = await session.channel()
        self._outbox = session.outbox
        self._acknowledgements = Acknowledgements(channel, session.outbox)
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._strikes = 0
        self._arrived_earlier = self._arrived
        self._is_closing = False
        closing = channel.closing
        closing.add_done_callback(lambda done: self._lose("channel_closed", f"channel closed: {why_closed(done)}"))
        channel.on_consumer_cancel_callbacks.add(
            lambda _: self._lose("cancelled", "cancelled by the broker: queue deleted?")
        )
        self.seen = None
        try:
            await channel.basic_qos(prefetch_count=self._prefetch, timeout=RPC_SECONDS)
            if not self._is_stopping:
                await self._consume(channel)
        finally:
            self.is_consuming = self._may_deliver = False
            self._is_closing = True
            await self._cancel_handlers()
            await self._close()

    async def _consume(self, channel: aiormq.abc.AbstractChannel) -> None:
        self._may_deliver = True  # from here on `stop` has messages to wait for
        await channel.basic_consume(self.queue, self._on_message, consumer_tag=TAG, timeout=RPC_SECONDS)
        raise_swallowed_cancel()
        self.is_consuming = True
        await self._look(channel)
        raise_swallowed_cancel()
        await self._end

    async def _look(self, channel: aiormq.abc.AbstractChannel) -> None:
        """See who else consumes: of workers that begin at the same time, all but the first one know at once."""
        with suppress(*CONNECTION_ERRORS):  # why the channel has ended, `_end` knows
            queue = await channel.queue_declare(self.queue, passive=True, timeout=RPC_SECONDS)
            if queue.consumer_count:  # 0 is wrong: the queue's leader has not answered in time
                self.seen = QueueState(queue.message_count or 0, queue.consumer_count)

    async def stop(self, grace_seconds: float) -> None:
        """Take no more messages, let handlers finish within the grace, hand back the rest."""
        self._is_stopping = True
        if not self._may_deliver:
            return
        await self._refuse_more()
        await self._wait_for_handlers(grace_seconds)
        for task, delivery in tuple(self._tasks.items()):
            if not delivery.is_settling:
                task.cancel()
        await self._wait_for_handlers(SETTLE_SECONDS)

    async def _refuse_more(self) -> None:
        try:
            await self._channel.basic_cancel(TAG, timeout=RPC_SECONDS)
        except CONNECTION_ERRORS as error:
            log.warning("consumer_not_cancelled", queue=self.queue, cause=f"{type(error).__name__}: {error}")

    def check(self, waiting: int, consumers: int) -> None:
        """Compare with what the broker says of the queue; a consumer that has gone silent ends its `run`."""
        self.seen = QueueState(waiting, consumers)
        is_silent = waiting > 0 and self._arrived == self._arrived_before and len(self._tasks) < self._prefetch
        is_next = self.takes_turns and self._arrived == self._arrived_earlier  # else it is this one's turn
        self._arrived_before = self._arrived
        self._strikes = self._strikes + 1 if is_silent and not is_next else 0
        if not self.is_consuming or self._is_stopping:
            return
        if consumers == 0:
            self._lose("unknown", "the broker knows no consumer of the queue")
        elif self._strikes >= STRIKES:
            self._lose("silent", f"silent although {waiting} messages wait")

    @property
    def parts(self) -> Sequence["QueueConsumer"]:
        """The consumers of single queues: this one."""
        return (self,)

    @property
    def is_ready(self) -> bool:
        """Whether the queue is consumed, or will be as soon as it is our turn."""
        return self.is_consuming

    @property
    def is_standing_by(self) -> bool:
        """Whether it is another worker's turn."""
        return False

    @property
    def workers(self) -> int | None:
        """How many workers consume the queue or, as this one, stand by; None: nobody has looked yet."""
        return self.seen.consumers + self.is_standing_by if self.seen else None

    @property
    def state(self) -> str:
        """Say what it does, for a person."""
        return "consuming" if self.is_consuming else "not consuming"

    @property
    def in_work(self) -> int:
        """Messages that handlers work on."""
        return len(self._tasks)

    def _lose(self, kind: str, cause: str) -> None:
        if not self._end.done():
            self.lost_by = kind
            self._end.set_exception(ChannelLost(f"consumer of {self.queue}: {cause}"))
            self._end.exception()  # `run` may be gone already

    async def _on_message(self, message: aiormq.abc.DeliveredMessage) -> None:
        if self._is_closing:
            return  # what arrives in the place of what is handed back goes back with the channel
        delivery = delivery_of(message)
        self._arrived += 1
        self._acknowledgements.expect(delivery.tag)
        work = self._process(delivery, self._acknowledgements)
        task = asyncio.Task(work, loop=asyncio.get_running_loop())  # no action's: past the loop's factory of tasks
        self._tasks[task] = delivery
        task.add_done_callback(self._forget)

    async def _process(self, delivery: Delivery, acknowledgements: Acknowledgements) -> None:
        try:
            await self._handle(delivery)
        except (HandBack, asyncio.CancelledError):
            acknowledgements.hand_back(delivery.tag)
        else:
            acknowledgements.acknowledge(delivery.tag)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None and not self._end.done():
            self._end.set_exception(error)

    async def _wait_for_handlers(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)

    async def _cancel_handlers(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._wait_for_handlers(SETTLE_SECONDS)

    async def _close(self) -> None:
        """Give the broker the last acknowledgements, then the channel: what is left unacknowledged goes back."""
        self._acknowledgements.flush()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._channel.close()
        except CONNECTION_ERRORS as error:
            log.debug("channel_not_closed_cleanly", queue=self.queue, cause=str(error))


class SharingConsumer(QueueConsumer):
    """Consumes one of a node's queues: as many messages of all of them are in work at a time as there are `slots`."""

    def __init__(
        self, queue: str, prefetch: int, handle: Callable[[Delivery], Awaitable[None]], slots: asyncio.Semaphore
    ) -> None:
        super().__init__(queue, prefetch, handle)
        self._slots = slots

    async def _process(self, delivery: Delivery, acknowledgements: Acknowledgements) -> None:
        async with self._slots:
            if self._is_stopping:
                acknowledgements.hand_back(delivery.tag)
            else:
                await super()._process(delivery, acknowledgements)
