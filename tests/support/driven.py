"""Time that a test lets pass, for limits in the process and in Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from deploy.redis import PrivateRedis
from worker.limits.memory import MemoryReservations
from worker.limits.redis import RedisReservations, RemoteClock, script

TIME = "redis.call('TIME')"


def driven_script(name: str) -> str:
    """Return a script that is told the time."""
    assert TIME in script(name)
    return script(name).replace(TIME, "redis.call('MGET', 'test:seconds', 'test:microseconds')")


class _KnownClock(RemoteClock):
    """Both sides have the same time."""

    def uncertain_seconds(self, now: float) -> float:
        return 0

    def exchanged(self, sent: float, theirs: float, received: float) -> None: ...

    def exchanges_needed(self, now: float) -> int:
        return 0


class DrivenTime:
    """Makes stores whose time passes when the test says so."""

    def __init__(self, redis_url: str) -> None:
        self.microseconds = 1_000_000_000
        self._url = redis_url
        self.redis = Redis.from_url(redis_url, decode_responses=True)

    def now(self) -> float:
        """Return what both stores take for the time."""
        return self.microseconds // 10**6 + self.microseconds % 10**6 / 1e6

    async def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.microseconds += round(seconds * 1e6)
        whole, rest = divmod(self.microseconds, 10**6)
        await self.redis.mset({"test:seconds": whole, "test:microseconds": rest})

    def in_memory(self) -> MemoryReservations:
        """Return a store in the process."""
        return MemoryReservations(self.now, guard_seconds=0.01)

    def in_redis(self, recovery_seconds: float = 600) -> RedisReservations:
        """Return a store in Redis; `script` of its module has to be `driven_script`."""
        return RedisReservations(self._url, guard_seconds=0.01, recovery_seconds=recovery_seconds, clock=_KnownClock())


@asynccontextmanager
async def driven_time(redis: PrivateRedis) -> AsyncIterator[DrivenTime]:
    """Let a test say what time it is, in an empty database of Redis."""
    time = DrivenTime(f"{redis.url.rpartition('/')[0]}/2")
    await time.redis.flushdb()
    await time.passes(0)
    yield time
    await time.redis.aclose()
