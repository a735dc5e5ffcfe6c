"""Marks in Redis."""

from typing import Any

from worker.database.redis import open_redis, redis_errors
from worker.deduplication.marks import Mark, Taken
from worker.errors import StoreError

PREFIX = "orchesty-worker:once:"
SECONDS = 10
"""How long Redis may take to connect or to answer."""

# The value is the owner, with a + before it when the message is done.
_TAKE = """
local value = redis.call('GET', KEYS[1])
if value == '+' .. ARGV[1] then return 'done' end
local is_free = value == ARGV[1] or (ARGV[3] == 'over' and string.sub(value or '', 1, 1) ~= '+')
if value and not is_free then return 'duplicate' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'ours'
"""
_CONFIRM = """
local value = redis.call('GET', KEYS[1])
if value == ARGV[1] or value == '+' .. ARGV[1] then redis.call('SET', KEYS[1], '+' .. ARGV[1], 'PX', ARGV[2]) end
"""
_RELEASE = """
local value = redis.call('GET', KEYS[1])
if value == ARGV[1] or value == '+' .. ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class RedisMarks:
    """Marks as keys that expire."""

    def __init__(self, url: str) -> None:
        """`url` is `redis://:password@host:6379/0`; it connects when it is first used."""
        self._redis = open_redis(url, answer_seconds=SECONDS)
        self._take = self._redis.register_script(_TAKE)
        self._confirm = self._redis.register_script(_CONFIRM)
        self._release = self._redis.register_script(_RELEASE)

    async def take(self, mark: Mark, *, takes_over: bool = False) -> Taken:
        """Claim the key, unless another message has it; or with `takes_over`, unless its message is done."""
        return Taken(await _call(self._take, mark, "over" if takes_over else ""))

    async def confirm(self, mark: Mark) -> None:
        """Note that the message is done, if the key is still its."""
        await _call(self._confirm, mark)

    async def release(self, mark: Mark) -> None:
        """Give the key up, if it is still the message's."""
        await _call(self._release, mark)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


async def _call(script: Any, mark: Mark, *more: str) -> Any:
    with redis_errors(StoreError):
        return await script(keys=[PREFIX + mark.id], args=[mark.owner, max(round(mark.seconds * 1000), 1), *more])
