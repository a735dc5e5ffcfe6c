"""Consumers that keep the order of messages, over several workers.

Both consume when it is their turn and stand by meanwhile. They hand messages back only all at once, by closing their
channel: the broker puts those into the queue again in their old order, while what is handed back one by one comes back
in the order of handing back, behind a successor that may be in work already.
"""

import asyncio
from collections.abc import Awaitable, Callable

from worker.broker.ack_barrier import AckBarrier
from worker.broker.consumer import Acknowledgements, QueueConsumer
from worker.broker.leadership import QueueTurn
from worker.broker.link import Session
from worker.errors import ChannelLost, HandBack, HeldTooLong
from worker.protocol.transport import Delivery

Handle = Callable[[Delivery], Awaitable[None]]


class SoleConsumer(QueueConsumer):
    """The only consumer of a queue; with a prefetch of 1 the next message begins when the broker has the last one's
    acknowledgement.
    """

    def __init__(self, queue: str, prefetch: int, handle: Handle) -> None:
        super().__init__(queue, prefetch, handle)
        self._turn = QueueTurn(queue)
        self._is_running = False
        self._ended = asyncio.Event()

    @property
    def is_standing_by(self) -> bool:
        """Whether it is another worker's turn."""
        return self._is_running and not self.is_consuming

    @property
    def is_ready(self) -> bool:
        """Whether the queue is consumed, or will be as soon as it is our turn."""
        return self._is_running

    @property
    def state(self) -> str:
        """Say what it does, for a person."""
        return "standing by" if self.is_standing_by else super().state

    async def run(self, session: Session) -> None:
        """Wait for the turn and consume. Returns after `stop`; else as `QueueConsumer.run`."""
        self._is_stopping = False
        self._is_running = True
        self._ended.clear()
        try:
            await self._run_in_turn(session)
        finally:
            self._is_running = False
            self._ended.set()

    async def _run_in_turn(self, session: Session) -> None:
        try:
            if await self._turn.take(session, lambda: not self._is_stopping):
                await super().run(session)
        except ChannelLost:
            await self._turn.release(session)
            raise
        await self._turn.release(session)

    async def stop(self, grace_seconds: float) -> None:
        """As `QueueConsumer.stop`; then another worker has its turn at once."""
        await super().stop(grace_seconds)
        if self._may_deliver and not self._end.done():
            self._end.set_result(None)
            await self._ended.wait()

    async def _refuse_more(self) -> None:
        """Leave what arrives from now on unacknowledged.

        A consumer that is cancelled first and closed later was seen to get messages on their way back behind others
        (RabbitMQ 3.10): they return after the broker has stopped counting it.
        """

    async def _process(self, delivery: Delivery, acknowledgements: Acknowledgements) -> None:
        await self._finish(delivery, acknowledgements)

    async def _finish(self, delivery: Delivery, acknowledgements: Acknowledgements) -> bool:
        """Handle and acknowledge; False: it stays unacknowledged until the channel is closed."""
        if self._is_stopping:
            return False
        try:
            await self._handle(delivery)
        except HeldTooLong:
            self._lose("handed_back", "the broker's consumer timeout comes near; taken again in the same order")
            return False
        except HandBack:
            return False
        acknowledgements.acknowledge(delivery.tag)
        return True


class KeyedConsumer(SoleConsumer):
    """Handles messages side by side, but those of one key one after another.

    The next one of a key begins when the broker is known to have the acknowledgement of the one before: whatever dies,
    no message is delivered again after a later one of its key has begun.
    """

    def __init__(
        self, queue: str, prefetch: int, handle: Handle, key: Callable[[Delivery], str], slots: asyncio.Semaphore
    ) -> None:
        """Of all consumers that share them, as many messages are in work at a time as there are `slots`."""
        super().__init__(queue, prefetch, handle)
        self._key = key
        self._slots = slots
        self._last: dict[str, asyncio.Future[bool]] = {}
        """The latest message of each key: whether it was done."""
        self._barrier: AckBarrier | None = None

    async def run(self, session: Session) -> None:
        """Consume, with no message in work."""
        self._last = {}
        self._barrier = None
        await super().run(session)

    async def _process(self, delivery: Delivery, acknowledgements: Acknowledgements) -> None:
        last, key = self._last, self._key(delivery)
        before, mine = last.get(key), asyncio.get_running_loop().create_future()
        last[key] = mine
        is_done = False
        try:
            if before is None or await _result(before):
                is_done = await self._take_slot(delivery, acknowledgements)
        finally:
            mine.set_result(is_done)
            if last.get(key) is mine:
                del last[key]

    async def _take_slot(self, delivery: Delivery, acknowledgements: Acknowledgements) -> bool:
        async with self._slots:
            if not await self._finish(delivery, acknowledgements):
                return False
        if self._barrier is None:
            self._barrier = AckBarrier(acknowledgements, self._prefetch, f"acknowledgements of {self.queue}")
        await self._barrier.passed()
        return True


async def _result(before: asyncio.Future[bool]) -> bool:
    await asyncio.wait((before,))  # awaited itself, it would be cancelled with us
    return before.result()
