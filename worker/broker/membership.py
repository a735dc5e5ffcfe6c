"""Who shares a node: how many workers there are, and which of them this one is."""

import aiormq

from worker.broker.leadership import Lock
from worker.broker.link import Session
from worker.broker.objects import RPC_SECONDS


class Membership:
    """Membership in the group of workers that consume a queue which nobody publishes to.

    The broker counts them, and forgets one with its connection. Each holds a lock with its number, the lowest that is
    free.
    """

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.count = 0
        """Members at the latest look; 0: nobody has looked yet."""
        self._channel: aiormq.abc.AbstractChannel | None = None
        self._number = -1
        self._lock = self._no_lock()

    def _no_lock(self) -> Lock:
        return Lock(f"{self.queue}.-1")

    async def look(self, session: Session) -> int:
        """Return how many members there are."""
        channel = await session.channel()
        self.count = (await channel.queue_declare(self.queue, passive=True, timeout=RPC_SECONDS)).consumer_count or 0
        await channel.close()
        return self.count

    async def join(self, session: Session) -> None:
        """Become a member, until the connection ends."""
        self.count = 0
        self._number, self._lock = -1, self._no_lock()  # the one we had ended with its connection
        self._channel = await session.channel()
        await self._channel.basic_consume(self.queue, _ignore, timeout=RPC_SECONDS)

    async def place(self, session: Session) -> tuple[int, int] | None:
        """Return our number and how many members there are; None when the others have to sort themselves out first."""
        count = await self.look(session)
        if not 0 <= self._number < count:
            await self._renumber(session, count)
        return (self._number, count) if 0 <= self._number < count else None

    async def _renumber(self, session: Session, count: int) -> None:
        for number in range(count):
            lock = Lock(f"{self.queue}.{number}")
            if await lock.take(session):
                await self._lock.release(session)
                self._number, self._lock = number, lock
                return


async def _ignore(_: aiormq.abc.DeliveredMessage) -> None:
    """Nobody publishes to the queue; what somebody does stays unacknowledged."""
