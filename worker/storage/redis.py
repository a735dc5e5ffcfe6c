"""The data storage in Redis: quick, and as durable as the server is made."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from connectors.clock import now_ms
from connectors.errors import StorageAway
from connectors.storage import Chunk, Joined, Kept, Part, Scope, ScopeSearch, Standing, Terms
from worker.database.redis import redis_errors

PREFIX = "orchesty:storage"
NAMES = f"{PREFIX}:collections"
"""Scopes of the collections, by the time when their newest items expire."""
TOGETHER = 500
"""So many parts or names are read at once."""
AHEAD = 8
"""So many parts are looked at for the next chunk: mostly it is in the first or second."""

_WRITE = """
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[3])
  redis.call('ZADD', KEYS[1], redis.call('INCR', KEYS[2]), ARGV[1])
end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3], 'items:' .. ARGV[2], ARGV[5])
redis.call('PEXPIREAT', KEYS[3], ARGV[4])
local known = redis.call('PEXPIRETIME', KEYS[1])
if known < tonumber(ARGV[4]) then
  redis.call('PEXPIREAT', KEYS[1], ARGV[4])
  redis.call('PEXPIREAT', KEYS[2], ARGV[4])
end
"""
"""Keys: parts by order, the order's counter, the part's chunks. Arguments: part, index, body, expires, items."""

_COUNT = """
local count, index = 0, 0
while true do
  local items = redis.call('HGET', KEYS[1], 'items:' .. index)
  if not items then return count end
  count, index = count + tonumber(items), index + 1
end
"""
"""Key: the part's chunks. Returns the number of items."""

_JOIN = """
local part, record, wanted, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local deadline, closes, expires, forgotten = ARGV[5], ARGV[6] == '1', ARGV[7], ARGV[8]
if redis.call('HSETNX', KEYS[1], 'first', part) == 1 then
  redis.call('HSET', KEYS[1], 'deadline', deadline)
  redis.call('PEXPIREAT', KEYS[1], expires)
end
local first, closed_by = redis.call('HGET', KEYS[1], 'first'), redis.call('HGET', KEYS[1], 'closed_by')
deadline = redis.call('HGET', KEYS[1], 'deadline')
local is_known = redis.call('HEXISTS', KEYS[2], part) == 1
if closed_by and closed_by ~= part then
  return {is_known and 'known' or 'late', 0, deadline, {}}
end
if not is_known then
  redis.call('HSET', KEYS[2], part, record)
  redis.call('PEXPIREAT', KEYS[2], redis.call('PEXPIRETIME', KEYS[1]))
end
local count, standing = redis.call('HLEN', KEYS[2]), 'waiting'
if count >= wanted then standing = 'complete'
elseif now >= tonumber(deadline) and (closes or part == first) then standing = 'timed-out'
elseif part == first then standing = 'first' end
if standing ~= 'complete' and not (standing == 'timed-out' and closes) then
  return {standing, count, deadline, {}}
end
if not closed_by then
  redis.call('HSET', KEYS[1], 'closed_by', part)
  redis.call('PEXPIREAT', KEYS[1], forgotten)
  redis.call('PEXPIREAT', KEYS[2], forgotten)
end
return {standing, count, deadline, redis.call('HVALS', KEYS[2])}
"""
"""Keys: the group, its parts. The same rules as `worker.storage.sql.stand`."""


class RedisStore:
    """Chunks and groups in hashes that expire, values in keys that do not."""

    def __init__(self, redis: Any) -> None:
        """`redis` is a client that answers with bytes."""
        self._redis = redis
        self._write = redis.register_script(_WRITE)
        self._join = redis.register_script(_JOIN)
        self._count = redis.register_script(_COUNT)

    async def write(self, scope: Scope, chunk: Chunk) -> None:
        """Keep a chunk."""
        collection = scope.key
        parts, counter = _parts_key(collection), f"{_parts_key(collection)}:counter"
        with redis_errors(storage_away):
            if chunk.index == 0:
                await self._redis.zremrangebyscore(NAMES, "-inf", now_ms())
                await self._redis.zadd(NAMES, {_member(scope): chunk.expires})
            keys = [parts, counter, _chunks_key(collection, chunk.part)]
            await self._write(keys=keys, args=[chunk.part, chunk.index, chunk.body, chunk.expires, chunk.items])

    async def read(self, collection: str, after: str, now: int) -> tuple[str, bytes] | None:
        """Return the chunk after this place, which is `order:index`."""
        order, _, index = after.partition(":")
        next_index = int(index) + 1 if index else 0
        with redis_errors(storage_away):
            async for part, score in self._parts(collection, order or "-inf", AHEAD):
                if order and score != int(order):
                    next_index = 0
                body = await self._chunk(collection, part, next_index)
                if body is not None:
                    return f"{score}:{next_index}", body
                next_index = 0
        return None

    async def clear(self, scope: Scope) -> None:
        """Delete all chunks."""
        parts = _parts_key(scope.key)
        with redis_errors(storage_away):
            while found := await self._redis.zrange(parts, 0, TOGETHER - 1):
                await self._redis.delete(*(_chunks_key(scope.key, part.decode()) for part in found))
                await self._redis.zrem(parts, *found)
            await self._redis.zrem(NAMES, _member(scope))

    async def find(self, search: ScopeSearch, limit: int, now: int) -> Sequence[Kept]:
        """Return collections."""
        found: list[Kept] = []
        first = 0
        with redis_errors(storage_away):
            while named := await self._redis.zrevrangebyscore(NAMES, "+inf", now, first, TOGETHER, withscores=True):
                first += len(named)
                for scope, expires in [(Scope(*json.loads(member)), int(score)) for member, score in named]:
                    if search.fits(scope) and (items := await self._items(scope.key)):
                        found.append(Kept(scope, items, expires))
                        if len(found) == limit:
                            return found
        return found

    async def load(self, key: str) -> str | None:
        """Return a value."""
        with redis_errors(storage_away):
            value = await self._redis.get(f"{PREFIX}:value:{key}")
        return None if value is None else str(value, "utf-8")

    async def save(self, key: str, value: str) -> None:
        """Keep a value."""
        with redis_errors(storage_away):
            await self._redis.set(f"{PREFIX}:value:{key}", value)

    async def join(self, group: str, part: Part, terms: Terms, now: int) -> Joined:
        """Add a part."""
        record = json.dumps([part.position, now, part.id, part.body])
        limits = [terms.count, now, terms.deadline, int(terms.closes), terms.expires, terms.forgotten]
        with redis_errors(storage_away):
            keys = [f"{PREFIX}:group:{{{group}}}", f"{PREFIX}:members:{{{group}}}"]
            standing, count, deadline, records = await self._join(keys=keys, args=[part.id, record, *limits])
        found = sorted(json.loads(record) for record in records)
        parts = [Part(own, position, body) for position, _, own, body in found]
        return Joined(Standing(standing.decode()), count, int(deadline), parts)

    async def ping(self) -> None:
        """Return when the server answers."""
        with redis_errors(storage_away):
            await self._redis.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _items(self, collection: str) -> int:
        count, parts = 0, [part async for part, _ in self._parts(collection, "-inf", TOGETHER)]
        for first in range(0, len(parts), TOGETHER):
            pipeline = self._redis.pipeline(transaction=False)
            for part in parts[first : first + TOGETHER]:
                await self._count(keys=[_chunks_key(collection, part)], client=pipeline)
            count += sum(await pipeline.execute())
        return count

    async def _parts(self, collection: str, first: str, together: int) -> AsyncIterator[tuple[str, int]]:
        """Yield the parts in their order, with their place in it."""
        key = _parts_key(collection)
        while found := await self._redis.zrangebyscore(key, first, "+inf", 0, together, withscores=True):
            for part, score in found:
                yield part.decode(), int(score)
            first = f"({int(found[-1][1])}"

    async def _chunk(self, collection: str, part: str, index: int) -> bytes | None:
        found: bytes | None = await self._redis.hget(_chunks_key(collection, part), str(index))
        return found


def _member(scope: Scope) -> str:
    return json.dumps([scope.name, scope.process, scope.application, scope.user])


def _parts_key(collection: str) -> str:
    """The braces keep what belongs together on one node of a cluster."""
    return f"{PREFIX}:parts:{{{collection}}}"


def _chunks_key(collection: str, part: str) -> str:
    return f"{PREFIX}:chunks:{{{collection}}}:{part}"


def storage_away(cause: str) -> StorageAway:
    """Return the error of a store that is away."""
    return StorageAway(reason=f"data storage: {cause}")
