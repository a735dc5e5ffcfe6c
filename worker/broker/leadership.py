"""The right to consume a queue alone: one worker has it, the others stand by.

RabbitMQ enforces neither exclusive consumers on quorum queues nor takes single-active-consumer by policy, so the right
is an exclusive queue on the consuming connection: the broker lets nobody else have it, and deletes it with the
connection. That may be before the messages of a dead consumer are back in the queue. The broker counts a consumer until
they are, cancelled or dead, so whoever takes over waits for a count of zero as well: the first message that it
gets is the first one unfinished.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress

import aiormq

from worker.broker.link import CONNECTION_ERRORS, Session, raise_swallowed_cancel
from worker.broker.objects import RPC_SECONDS

LOCK_PREFIX = "orchesty-worker.lock."
STANDBY_SECONDS = (0.5, 1.5)
"""Between two looks of one that stands by."""

SETTLE_SECONDS = 0.2
"""Between two looks of one that has the lock, while the broker takes back what the consumer before it left."""


SURE_SECONDS = 1.5
"""A broker that starts counts consumers as it had noted them up to 5 s before it ended, until each queue has a leader,
within 0.6 s, and has read its log to the end. So it is not asked on a connection younger than this.
"""

TRUSTED_SECONDS = 0.2
"""RabbitMQ says of a quorum queue whose leader has not answered within 0.25 s that it has no messages and no consumers;
an answer like that is believed when it came faster.
"""


class Lock:
    """An exclusive queue of this name."""

    def __init__(self, name: str) -> None:
        self.name = LOCK_PREFIX + name
        self.is_held = False

    async def take(self, session: Session) -> bool:
        """Take it if nobody else has it. A connection that has it already keeps it."""
        channel = await session.channel()
        try:
            await channel.queue_declare(self.name, exclusive=True, timeout=RPC_SECONDS)
        except aiormq.exceptions.ChannelLockedResource:
            self.is_held = False
        else:
            self.is_held = True
            await channel.close()
        return self.is_held

    async def release(self, session: Session) -> None:
        """Let others have it; the end of the connection does so too."""
        if not self.is_held:
            return
        self.is_held = False
        with suppress(*CONNECTION_ERRORS):
            channel = await session.channel()
            await channel.queue_delete(self.name, timeout=RPC_SECONDS)
            await channel.close()


class QueueTurn:
    """The turn to consume one queue."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._lock = Lock(queue)

    async def take(self, session: Session, is_wanted: Callable[[], bool]) -> bool:
        """Return when nobody else consumes the queue or may begin to; False when it is not wanted any more.

        Raises one of `CONNECTION_ERRORS`.
        """
        await asyncio.sleep(SURE_SECONDS - session.age)
        while await self._is_consumed(session) or not await self._take(session):
            pause = SETTLE_SECONDS if self._lock.is_held else random.uniform(*STANDBY_SECONDS)  # noqa: S311 - jitter
            await asyncio.sleep(pause)
            raise_swallowed_cancel()
            if not is_wanted():
                return False
        return is_wanted()

    async def release(self, session: Session) -> None:
        """Let others have their turn."""
        await self._lock.release(session)

    async def _take(self, session: Session) -> bool:
        """Take the lock, and look again: another one may have had it, consumed and died since the first look."""
        return await self._lock.take(session) and not await self._is_consumed(session)

    async def _is_consumed(self, session: Session) -> bool:
        channel = await session.channel()
        asked = time.monotonic()
        queue = await channel.queue_declare(self._queue, passive=True, timeout=RPC_SECONDS)
        is_unknown = not queue.message_count and time.monotonic() - asked > TRUSTED_SECONDS
        await channel.close()
        return bool(queue.consumer_count) or is_unknown
