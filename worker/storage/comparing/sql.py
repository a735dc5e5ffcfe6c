"""Collections of the node `comparator` in SQLite or PostgreSQL."""

import json
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from connectors.clock import milliseconds
from connectors.comparing import SLICE, Change, Comparison, Deleted, Draft, Hold
from worker.storage.comparing import drafts
from worker.storage.comparing.answers import Question, answer
from worker.storage.comparing.collections import Collection as Opened
from worker.storage.comparing.collections import changes, forget, hold, is_held, let_go, open_collection, write
from worker.storage.comparing.purge import purge
from worker.storage.comparing.runs import ends, is_over, missing, note_seen
from worker.storage.database import StorageDatabase


class SqlComparisons:
    """Collections in tables."""

    def __init__(self, database: StorageDatabase) -> None:
        self._run = database.run

    async def compare(
        self, comparison: Comparison, position: int, digests: Sequence[tuple[str, bytes]], now: int
    ) -> str | None:
        """Compare a slice."""
        items = {item.encode(): digest for item, digest in digests}
        return await self._run(partial(_compare, comparison=comparison, position=position, items=items, now=now))

    async def ends(self, comparison: Comparison, now: int) -> bool:
        """Whether the run ends here."""

        def work(connection: Connection) -> bool:
            open_collection(connection, comparison.master, now)
            return ends(connection, comparison, now)

        return await self._run(work)

    async def deleted(
        self, comparison: Comparison, position: int, after: str, draft: Draft | None, now: int
    ) -> Deleted:
        """Take ids that are missing."""
        own = partial(_deleted, comparison=comparison, position=position, after=after, draft=draft, now=now)
        return await self._run(own)

    async def end(self, comparison: Comparison) -> None:
        """Forget what was seen, then let go."""
        while not await self._run(partial(is_over, run=comparison.run)):
            pass
        await self._run(partial(let_go, master=comparison.master, run=comparison.run))

    async def id_field(self, draft: str, now: int) -> str | None:
        """Return a draft's field."""
        return await self._run(partial(drafts.id_field, draft=draft, now=now), is_writing=False)

    async def confirm(self, draft: str, item: str | None, now: int) -> None:
        """Keep what a draft says."""
        if item is not None:
            await self._run(partial(drafts.confirm_item, draft=draft, item=item.encode(), now=now))
            return
        last = await self._run(partial(drafts.confirm_after, draft=draft, after=None, now=now))
        while last is not None:
            last = await self._run(partial(drafts.confirm_after, draft=draft, after=last, now=now))

    async def invalidate(self, master: str, item: str | None, now: int) -> None:
        """Forget an item or all."""
        own = None if item is None else item.encode()
        await self._run(partial(forget, master=master, item=own))


def _compare(
    connection: Connection, comparison: Comparison, position: int, items: dict[bytes, bytes], now: int
) -> str | None:
    collection = open_collection(connection, comparison.master, now)
    if is_held(collection, comparison, now):
        return None
    if comparison.notes_seen:
        goes_on = note_seen(connection, collection, comparison.run, items, now)
        if goes_on and comparison.hold is Hold.TAKES:
            hold(connection, collection, comparison.run, now)
        collection = open_collection(connection, comparison.master, now)
    find = partial(changes, connection, collection, items)
    told = answer(connection, comparison.message, Question.CHANGES, position, find, now)
    changes_of = zip(items, told, strict=True) if told else ()
    changed = {item: items[item] for item, known in changes_of if known != Change.SAME}
    _write(connection, comparison, collection, comparison.draft, changed, now)
    purge(connection, now)
    return told


def _deleted(
    connection: Connection, comparison: Comparison, position: int, after: str, draft: Draft | None, now: int
) -> Deleted:
    collection = open_collection(connection, comparison.master, now)

    def find() -> str:
        ids = [item.decode() for item in missing(connection, collection, comparison.run, after.encode())]
        return json.dumps([ids, ids[-1] if len(ids) == SLICE else None])

    found = Deleted(*json.loads(answer(connection, comparison.message, Question.MISSING, position, find, now)))
    gone = dict.fromkeys(item.encode() for item in found.ids)
    _write(connection, comparison, collection, draft, gone, now)
    return found


def _write(
    connection: Connection,
    comparison: Comparison,
    collection: Opened,
    draft: Draft | None,
    digests: Mapping[bytes, bytes | None],
    now: int,
) -> None:
    """Keep what was told, in the draft if it is to be confirmed."""
    kept = None if comparison.kept is None else milliseconds(comparison.kept)
    if draft is None:
        write(connection, collection, digests, kept, now)
    else:
        drafts.write_draft(connection, collection, draft, digests, kept, now)
