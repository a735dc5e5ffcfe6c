"""What is asked for once and then remembered for a while: `await self.storage.cached(key, lifetime, find)`.

Under a lock, of all workers with this storage one asks and the others wait for its answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar
from uuid import uuid4

from pydantic import TypeAdapter
from pydantic_core import from_json

from connectors.clock import milliseconds, now_ms
from connectors.delay import Delay
from connectors.message import json_text
from connectors.outcome import Repeat

LOCKED: Final = timedelta(seconds=30)
"""How long a lock outlives the worker that holds it."""
RENEWED_SECONDS: Final = 10
LOOK_SECONDS: Final = 0.05
LONGEST_LOOK_SECONDS: Final = 2.0
"""How often whoever waits looks again: at once, then after twice the time, up to this."""
PATIENCE_SECONDS: Final = 20
"""How long a message is held for somebody else's answer; then it waits in the broker."""

Found = TypeVar("Found")
Lifetime = timedelta | Callable[[Any], timedelta]
"""How long an answer is remembered; a function is given the answer."""


@dataclass(unsafe_hash=True, kw_only=True)
class AskedElsewhere(Repeat):
    """Another worker asks for what is to be cached, and takes long; the message waits in the broker."""

    after: Delay = timedelta(seconds=5)
    max_hops: int = 100_000


class CacheStore(Protocol):
    """Where answers and locks are kept. Times are milliseconds since the epoch. Raises `StorageAway`."""

    async def recall(self, key: str, now: int) -> str | None:
        """Return what is remembered."""

    async def remember(self, key: str, value: str, expires: int) -> None:
        """Remember it until then."""

    async def lock(self, key: str, owner: str, until: int, now: int) -> bool:
        """Lock the key, or hold the own lock for longer; False while somebody else has it."""

    async def unlock(self, key: str, owner: str) -> None:
        """Let go of the own lock."""


class Cache:
    """Answers by key, of all workers with the same storage."""

    def __init__(self, store: CacheStore) -> None:
        self._store = store

    async def get(
        self, key: str, lifetime: Lifetime, find: Callable[[], Awaitable[Found]], *, model: Any, locks: bool
    ) -> Found:
        """Return what is remembered, else what `find` returns."""
        read = from_json if model is Any else TypeAdapter(model).validate_json
        text = await self._store.recall(key, now_ms())
        if text is not None:
            with suppress(ValueError):  # the model has changed since: what was remembered is of no use any more
                known: Found = read(text)
                return known
            await self._store.remember(key, text, now_ms())
        text = await (self._found_once(key, lifetime, find) if locks else self._found(key, lifetime, find))
        found: Found = read(text)
        return found

    async def _found(self, key: str, lifetime: Lifetime, find: Callable[[], Awaitable[Any]]) -> str:
        found = await find()
        kept = lifetime if isinstance(lifetime, timedelta) else lifetime(found)
        text = json_text(found)
        if kept > timedelta():
            await self._store.remember(key, text, now_ms() + milliseconds(kept))
        return text

    async def _found_once(self, key: str, lifetime: Lifetime, find: Callable[[], Awaitable[Any]]) -> str:
        async with self._locked(key) as remembered:
            return await self._found(key, lifetime, find) if remembered is None else remembered

    @asynccontextmanager
    async def _locked(self, key: str) -> AsyncIterator[str | None]:
        """Hold the lock, or give what somebody else has found meanwhile. Raises `AskedElsewhere`."""
        owner = uuid4().hex
        remembered = await self._own_or_remembered(key, owner)
        if remembered is not None:
            yield remembered
            return
        renewing = asyncio.create_task(self._renewed(key, owner), name="lock of a cached answer")
        try:
            yield await self._store.recall(key, now_ms())  # it may have come just before the lock
        finally:
            renewing.cancel()
            with suppress(Repeat):  # the storage is away: the lock lapses
                await self._store.unlock(key, owner)

    async def _own_or_remembered(self, key: str, owner: str) -> str | None:
        """Return None with the lock, or what is remembered without."""
        waited, pause = 0.0, LOOK_SECONDS
        while not await self._lock(key, owner):
            if waited >= PATIENCE_SECONDS:
                raise AskedElsewhere(reason="another worker asks for what is to be cached, and takes long")
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(2 * pause, LONGEST_LOOK_SECONDS)
            if (text := await self._store.recall(key, now_ms())) is not None:
                return text
        return None

    async def _lock(self, key: str, owner: str) -> bool:
        now = now_ms()
        return await self._store.lock(key, owner, now + milliseconds(LOCKED), now)

    async def _renewed(self, key: str, owner: str) -> None:
        while True:
            await asyncio.sleep(RENEWED_SECONDS)
            with suppress(Repeat):  # the storage is away: it may be back before the lock lapses
                await self._lock(key, owner)
