"""Cached answers in Redis."""

from typing import Any, Final

from worker.database.redis import redis_errors
from worker.storage.redis import storage_away

PREFIX: Final = "orchesty:cached"

_LOCK: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_UNLOCK: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
"""Key: the lock. Arguments: the owner, and for how many milliseconds."""


class RedisCache:
    """Answers and locks in keys that expire."""

    def __init__(self, redis: Any) -> None:
        """`redis` is a client that answers with bytes."""
        self._redis = redis
        self._lock = redis.register_script(_LOCK)
        self._unlock = redis.register_script(_UNLOCK)

    async def recall(self, key: str, now: int) -> str | None:
        """Return an answer."""
        with redis_errors(storage_away):
            value = await self._redis.get(f"{PREFIX}:value:{key}")
        return None if value is None else str(value, "utf-8")

    async def remember(self, key: str, value: str, expires: int) -> None:
        """Keep an answer."""
        with redis_errors(storage_away):
            await self._redis.set(f"{PREFIX}:value:{key}", value, pxat=expires)

    async def lock(self, key: str, owner: str, until: int, now: int) -> bool:
        """Take a lock that nobody has, or hold the own one for longer."""
        with redis_errors(storage_away):
            return bool(await self._lock(keys=[f"{PREFIX}:lock:{key}"], args=[owner, until - now]))

    async def unlock(self, key: str, owner: str) -> None:
        """Delete the own lock."""
        with redis_errors(storage_away):
            await self._unlock(keys=[f"{PREFIX}:lock:{key}"], args=[owner])
