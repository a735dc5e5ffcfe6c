"""Data storage: what actions keep between messages.

    Storage
    ├── Collection   items of a name, kept for 24 hours, streamed in and out
    ├── State        the last id or date of a source, kept until it is changed
    ├── join         parts of one message that come one by one, for `merge`
    ├── cached       what is asked for once and remembered for a while
    └── Comparing    what earlier runs have had, for `comparator`

An action reaches it as `self.storage`. What cannot be reached raises `StorageAway`: the message waits in the broker.
"""

import hashlib
import json
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from connectors.caching import Cache, Found, Lifetime
from connectors.clock import now_ms
from connectors.comparing import Comparing
from connectors.message import Message

KEPT = timedelta(hours=24)
"""How long items are kept after their part was begun."""

CHUNK_BYTES = 256 * 1024
CHUNK_ITEMS = 1000
"""Items are stored in chunks of about this size, and read one chunk at a time."""

_END = b"\n"


@dataclass(frozen=True, slots=True)
class Scope:
    """The name of a collection, and whose it is; what is empty is shared by all."""

    name: str
    process: str = ""
    """A correlation id."""
    application: str = ""
    user: str = ""

    @property
    def key(self) -> str:
        """What the store knows it by."""
        return _key("collection", self.name, self.process, self.application, self.user)


@dataclass(frozen=True, slots=True)
class ScopeSearch:
    """Which collections are wanted; None: any."""

    name: str | None = None
    process: str | None = None
    application: str | None = None
    user: str | None = None

    @property
    def wanted(self) -> Mapping[str, str]:
        """The fields of a scope that have to be so."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def fits(self, scope: Scope) -> bool:
        """Whether the collection is wanted."""
        return all(getattr(scope, name) == value for name, value in self.wanted.items())


@dataclass(frozen=True, slots=True)
class Kept:
    """A collection that has items."""

    scope: Scope
    items: int
    expires: int
    """When its newest items expire; milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some items of one part of a collection."""

    part: str
    index: int
    """Counts from 0; the first one replaces all that the part had before."""
    body: bytes
    items: int
    expires: int
    """Milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the parts that are joined."""

    id: str
    position: int
    body: str


@dataclass(frozen=True, slots=True)
class Terms:
    """When parts are complete."""

    count: int
    deadline: int
    """When waiting ends, if the parts have not come by then. Of the first part's; milliseconds since the epoch."""
    closes: bool
    """Whether the parts that have come are taken as they are when the time is up."""
    expires: int
    """When what has not been completed is forgotten."""
    forgotten: int
    """When what has been completed is forgotten, so that the key can be used again."""


class Standing(StrEnum):
    """What a part means for the others."""

    WAITING = "waiting"
    """There are more to come."""
    FIRST = "first"
    """There are more to come, and this one looks after the time."""
    COMPLETE = "complete"
    """This one completed them: it takes all parts on."""
    TIMED_OUT = "timed-out"
    """The time is up, and this one is who says so."""
    KNOWN = "known"
    """It came before, and another one took the parts on."""
    LATE = "late"
    """The others went on without it."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of a part."""

    standing: Standing
    count: int
    """How many have come."""
    deadline: int
    parts: Sequence[Part] = ()
    """All that have come, by position, for the one that takes them on."""


class Store(Protocol):
    """Where it is kept. Keys are short and made of letters and digits. Raises `StorageAway`."""

    async def write(self, scope: Scope, chunk: Chunk) -> None:
        """Keep a chunk; the same chunk may be written again."""

    async def read(self, collection: str, after: str, now: int) -> tuple[str, bytes] | None:
        """Return the chunk after this place ("" for the first) and its own place; None at the end."""

    async def clear(self, scope: Scope) -> None:
        """Delete all chunks."""

    async def find(self, search: ScopeSearch, limit: int, now: int) -> Sequence[Kept]:
        """Return collections that have items, at most so many, first those that were begun or added to last."""

    async def load(self, key: str) -> str | None:
        """Return a value."""

    async def save(self, key: str, value: str) -> None:
        """Keep a value until it is changed."""

    async def join(self, group: str, part: Part, terms: Terms, now: int) -> Joined:
        """Add a part, in one transaction. The same part again adds nothing and gets the same answer."""

    async def ping(self) -> None:
        """Return when it answers; nothing is made or changed."""

    async def close(self) -> None:
        """Close the connections."""


class Collection:
    """Items under a name. Any JSON value or pydantic model is an item."""

    def __init__(self, store: Store, scope: Scope) -> None:
        self._store = store
        self._scope = scope
        self._key = scope.key

    async def write(self, items: Iterable[Any] | AsyncIterable[Any], *, part: str | None = None) -> int:
        """Add items and return how many. Memory is bounded by one chunk.

        Items of a named `part` take the place of what the same part wrote before: a message that is delivered twice
        writes once when it gives its process id and cursor. Without a name they are added. A write that fails half
        way leaves what it has written; readers see items as they are written.
        """
        own, expires = _key(part) if part else uuid4().hex, now_ms() + int(KEPT / timedelta(milliseconds=1))
        count = index = 0
        async for body, items_in in _chunks(items):
            await self._store.write(self._scope, Chunk(own, index, body, items_in, expires))
            index, count = index + 1, count + items_in
        if index == 0 and part:
            await self._store.write(self._scope, Chunk(own, 0, b"", 0, expires))  # an empty part replaces a full one
        return count

    async def read(self, model: Any = Any) -> AsyncIterator[Any]:
        """Yield the items, part by part in the order in which the parts were begun. Memory is bounded by one chunk."""
        read = from_json if model is Any else TypeAdapter(model).validate_json
        place = ""
        while (found := await self._store.read(self._key, place, now_ms())) is not None:
            place, body = found
            for line in filter(None, body.split(_END)):
                yield read(line)

    async def clear(self) -> None:
        """Delete all items."""
        await self._store.clear(self._scope)


class State:
    """What a source had last: an id or a date, as text. One value for each user, node and name."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key

    async def load(self) -> str | None:
        """Return the value; None the first time."""
        return await self._store.load(self._key)

    async def save(self, value: str) -> None:
        """Keep the value now. For a batch `saving` is safer."""
        await self._store.save(self._key, value)

    def saving(self, value: str) -> Callable[[], Awaitable[None]]:
        """Return what a `Page` takes as `confirmed`: saves the value once the broker has the page's items."""
        return partial(self._store.save, self._key, value)


class Storage:
    """The data storage as actions see it."""

    def __init__(self, store: Store, comparing: Comparing, cache: Cache) -> None:
        self._store = store
        self._cache = cache
        self.comparing = comparing
        """What the node `comparator` has seen in earlier runs."""

    def collection(self, name: str, *, process: str = "", application: str = "", user: str = "") -> Collection:
        """Return the items of this name for a process (by correlation id), an application and a user.

        What is left out is shared: only with `process`, all nodes of a run share the collection; only with `user`,
        all runs of the user.
        """
        return Collection(self._store, Scope(name, process, application, user))

    def of_run(self, message: Message[Any], name: str) -> Collection:
        """Return the items of this name for the run that the message belongs to."""
        return self.collection(name, process=_header(message, "correlation-id"))

    async def collections(self, search: ScopeSearch = ScopeSearch(), limit: int = 100) -> Sequence[Kept]:
        """Return collections that have items, those that were written to last first."""
        return await self._store.find(search, limit, now_ms())

    def state(self, message: Message[Any], name: str = "") -> State:
        """Return the state of a source for the message's user and node; `name` parts several sources of one node."""
        return State(self._store, _key("state", _header(message, "user"), _header(message, "node-id"), name))

    async def join(self, node: str, key: str, part: Part, terms: Terms) -> Joined:
        """Add a part of what is merged at this node under this key."""
        return await self._store.join(_key("join", node, key), part, terms, now_ms())

    async def cached(
        self,
        key: str,
        lifetime: Lifetime,
        find: Callable[[], Awaitable[Found]],
        *,
        model: Any = Any,
        locks: bool = False,
    ) -> Found:
        """Return what is remembered under the key, else what `find` returns, and remember that.

        `lifetime` is for how long, or a function that says so of what was found. The key is shared by all users and
        nodes: put into it what parts them. What is found is kept as JSON, unencrypted, and comes back as `model`.

        With `locks` one worker calls `find`, and the others wait for it. Raises `AskedElsewhere`, a `Repeat`, when
        that takes more than 20 seconds, and what `find` raises, which is not remembered.
        """
        return await self._cache.get(_key("cached", key), lifetime, find, model=model, locks=locks)

    async def ping(self) -> None:
        """Return when the storage answers. Raises `StorageAway`."""
        await self._store.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._store.close()


def _header(message: Message[Any], name: str) -> str:
    value = message.headers.get(name)
    return "" if value is None else str(value)


def _key(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


async def _chunks(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[tuple[bytes, int]]:
    """Yield chunks of JSON lines and how many items they hold."""
    lines: list[bytes] = []
    size = 0
    async for item in _each(items):
        line = to_json(item)
        if lines and (size + len(line) > CHUNK_BYTES or len(lines) >= CHUNK_ITEMS):
            yield _END.join(lines), len(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield _END.join(lines), len(lines)


async def _each(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    if isinstance(items, str | bytes | Mapping):
        raise TypeError(f"write takes several items, not {type(items).__name__}: put it into a list")
    for item in items:
        yield item
