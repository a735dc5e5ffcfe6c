"""Comparing items with those of earlier runs, for the node `comparator`.

    Comparing          compares the items of a message, and ends a run
    ├── collection     a digest for each item, under the name of a master key
    ├── run            which ids the messages of a run have had: what is missing at its end was deleted
    ├── answer         what a message was told, so that it is told the same when it is delivered again
    └── draft          what a message was told, until `confirm` says that it has arrived

Each slice of a message is compared in one transaction: what is new, the new digests and the answer are kept together
or not at all. A message that comes again gets its answer again, and the collection afterwards says what was told last.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from itertools import islice
from typing import Protocol
from uuid import NAMESPACE_OID, uuid4, uuid5

from connectors.clock import now_ms

SLICE = 1000
"""So many items are compared in one transaction."""
MOST_DELETED = 100_000
"""A result names about so many deleted ids; more make further results."""
REMEMBERED = timedelta(days=7)
"""How long answers and unfinished runs are kept."""
HELD = timedelta(minutes=5)
"""How long a run holds its collection after its last message, if its end does not come."""


class Change(StrEnum):
    """What became of an item since the run before."""

    SAME = "s"
    CREATED = "c"
    UPDATED = "u"


def change(known: bytes | None, digest: bytes) -> Change:
    """Return what an item is whose digest was `known`."""
    if known is None:
        return Change.CREATED
    return Change.SAME if known == digest else Change.UPDATED


class Hold(StrEnum):
    """What a message does about runs that hold the collection."""

    IGNORES = "ignores"
    RESPECTS = "respects"
    """It comes when no other run holds the collection."""
    TAKES = "takes"
    """So, and its run holds the collection until the run's end."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is told now and counts when it is confirmed."""

    id: str
    id_field: str
    kept: timedelta

    def next(self, number: int) -> "Draft":
        """Return the draft of a further result of the same message."""
        return replace(self, id=str(uuid5(NAMESPACE_OID, f"{self.id}:{number}"))) if number else self


@dataclass(frozen=True, slots=True)
class Comparison:
    """A message whose items are compared. Master key, run and message are digests: see `comparison_key`."""

    master: str
    run: str
    message: str
    seeks_deleted: bool = False
    """Whether the run notes what it has seen, to tell at its end what is missing."""
    hold: Hold = Hold.IGNORES
    is_last: bool = False
    total: int | None = None
    """How many ids the run has in all; None: it ends with its last message."""
    kept: timedelta | None = None
    """How long the collection is kept after it has changed; None: as before, else for ever."""
    draft: Draft | None = None

    @property
    def notes_seen(self) -> bool:
        """Whether the run has an end that somebody waits for."""
        return self.seeks_deleted or self.hold is Hold.TAKES


@dataclass(frozen=True, slots=True)
class Deleted:
    """Some of the ids that are missing, and where to go on; None at the end."""

    ids: Sequence[str]
    after: str | None


@dataclass(slots=True)
class Result:
    """What has changed. A message has several results when many ids are missing."""

    draft: Draft | None
    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    deleted: dict[str, None] = field(default_factory=dict)
    """Ids: a store may name one twice."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing has changed."""
        return not (self.created or self.updated or self.deleted)


class Comparisons(Protocol):
    """Where collections are kept. Each call is one transaction. Raises `StorageAway`."""

    async def compare(
        self, comparison: Comparison, position: int, digests: Sequence[tuple[str, bytes]], now: int
    ) -> str | None:
        """Compare a slice of a message's items and keep the result; return a `Change` for each, "" if all are the same.

        None: another run holds the collection.

        An id occurs once. The same slice again gets the same answer, which is kept again.
        """

    async def ends(self, comparison: Comparison, now: int) -> bool:
        """Whether this message ends its run: the first one for which all have been seen, or that is the last."""

    async def deleted(
        self, comparison: Comparison, position: int, after: str, draft: Draft | None, now: int
    ) -> Deleted:
        """Remove (with a draft: note there) some ids that were there when the run began and that it has not seen.

        Ids that have come or changed since are left. `after` is "" at first; the same position again gets the same.
        """

    async def end(self, comparison: Comparison) -> None:
        """Forget what the run has seen, and let the collection go."""

    async def id_field(self, draft: str, now: int) -> str | None:
        """Return where the items of a draft have their id; None when there is no such draft any more."""

    async def confirm(self, draft: str, item: str | None, now: int) -> None:
        """Keep an item of a draft, or all of them, as what the collection has; a draft that is gone changes nothing."""

    async def invalidate(self, master: str, item: str | None, now: int) -> None:
        """Forget an item of a collection, or all of them, in drafts too."""


class Comparing:
    """Compares items with those of earlier runs."""

    def __init__(self, store: Comparisons) -> None:
        self._store = store

    async def compare(self, comparison: Comparison, digests: Mapping[str, bytes]) -> Sequence[Result] | None:
        """Return what has changed, one result or more; None while another run holds the collection."""
        first = Result(comparison.draft)
        for position, rows in enumerate(_slices(digests)):
            changes = await self._store.compare(comparison, position, rows, now_ms())
            if changes is None:
                return None
            if changes:
                told = tuple(zip((item for item, _ in rows), changes, strict=True))
                first.created += [item for item, known in told if known == Change.CREATED]
                first.updated += [item for item, known in told if known == Change.UPDATED]
        return [first, *await self._ended(comparison, first)]

    async def _ended(self, comparison: Comparison, result: Result) -> Sequence[Result]:
        """Add what was deleted to the result; return further ones, if it is too much for one."""
        if not comparison.notes_seen or not await self._store.ends(comparison, now_ms()):
            return []
        further = await self._deleted(comparison, result) if comparison.seeks_deleted else []
        await self._store.end(comparison)
        return further

    async def _deleted(self, comparison: Comparison, result: Result) -> Sequence[Result]:
        further: list[Result] = []
        position, after = 0, ""
        while True:
            found = await self._store.deleted(comparison, position, after, result.draft, now_ms())
            result.deleted |= dict.fromkeys(found.ids)
            if found.after is None:
                return further
            position, after = position + 1, found.after
            if len(result.deleted) >= MOST_DELETED:
                draft = comparison.draft and comparison.draft.next(len(further) + 1)
                result = Result(draft)
                further.append(result)

    async def id_field(self, draft: str) -> str | None:
        """Return where the items of a draft have their id; None when there is no such draft any more."""
        return await self._store.id_field(draft, now_ms())

    async def confirm(self, draft: str, item: str | None = None) -> None:
        """Say that an item of a draft has arrived, or all of them."""
        await self._store.confirm(draft, item, now_ms())

    async def invalidate(self, master: str, item: str | None = None) -> None:
        """Forget an item of a master key, or all of them: the next run has them as created."""
        await self._store.invalidate(comparison_key(master), item, now_ms())


def comparison_key(*parts: str) -> str:
    """Return what the store knows it by."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def draft_id(message: str) -> str:
    """Return the id of a message's draft, the same each time."""
    return str(uuid5(NAMESPACE_OID, message))


def own_key() -> str:
    """Return a key that nothing else has."""
    return uuid4().hex


def _slices(digests: Mapping[str, bytes]) -> Iterator[Sequence[tuple[str, bytes]]]:
    """Yield slices; there is one even if there is nothing: the run has begun."""
    rows = iter(digests.items())
    yield tuple(islice(rows, SLICE))
    while found := tuple(islice(rows, SLICE)):
        yield found
