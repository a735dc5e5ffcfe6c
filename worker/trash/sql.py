"""The trash in SQLite or PostgreSQL. Several processes may use the same database."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, literal, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from worker.database.transactions import Database
from worker.protocol.message import now_ms
from worker.trash.entry import OPEN, Entry, EntryState, EntryType, flood_key, short_id
from worker.trash.store import Claim, Search, chunks, load_waiting
from worker.trash.tables import CHAIN, trash

_FIELDS = tuple(field.name for field in fields(Entry))


class SqlTrash:
    """Entries in a table. All methods raise `StoreError` for what the database says."""

    def __init__(self, url: str, flood_limit: int) -> None:
        """`url` is `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://...` with libpq's options."""
        self._database = Database(url, CHAIN)
        self.flood_limit = flood_limit

    async def add(self, entry: Entry) -> str:
        """Keep a message, or count it on the oldest of its kind; return the id under which it is found."""
        async with self._database.transaction() as connection:
            key = flood_key(entry.node_id, entry.correlation_id, entry.reason)
            if self.flood_limit:
                await self._lock(connection, key)
            if not await self._put(connection, entry):
                return entry.id
            if entry.twin is not None:
                await self._lock(connection, entry.twin)
                twins = and_(trash.c.twin == entry.twin, trash.c.state == EntryState.WAITING, trash.c.id != entry.id)
                if await _is_any(connection, twins):
                    return await _count_instead(connection, entry, twins)
            equal = and_(trash.c.flood_key == key, trash.c.state.in_(OPEN))
            is_limited = self.flood_limit and entry.type is EntryType.TRASH
            if is_limited and await _is_any(connection, equal, beside=self.flood_limit):
                return await _count_instead(connection, entry, equal)
            return entry.id

    async def _lock(self, connection: AsyncConnection, key: str) -> None:
        """Let others with this key wait for the end of the transaction. SQLite has one writer at a time."""
        if self._database.is_postgresql:
            await connection.execute(select(func.pg_advisory_xact_lock(int(key[:15], 16))))

    async def put(self, entry: Entry) -> bool:
        """Keep an entry as it is; False when one with its id is there."""
        async with self._database.transaction() as connection:
            return await self._put(connection, entry)

    async def _put(self, connection: AsyncConnection, entry: Entry) -> bool:
        new = self._database.insert(trash).values(_values(entry)).on_conflict_do_nothing(index_elements=["id"])
        return (await connection.execute(new.returning(trash.c.id))).scalar_one_or_none() is not None

    async def ids(self, search: Search) -> Sequence[str]:
        """Return the ids of the entries that fit, oldest first."""
        async with self._database.transaction() as connection:
            query = select(trash.c.id).where(*_conditions(search)).order_by(trash.c.number)
            return (await connection.execute(query)).scalars().all()

    async def load(self, ids: Sequence[str]) -> Sequence[Entry]:
        """Return the entries with these ids, in this order."""
        async with self._database.transaction() as connection:
            return await _load(connection, ids, select(trash).where(trash.c.id.in_(ids)))

    async def get(self, reference: str) -> Entry | None:
        """Return an entry by its id or the beginning of it, when that is unique."""
        own = short_id(reference)
        async with self._database.transaction() as connection:
            query = select(trash).where(trash.c.id.startswith(own, autoescape=True)).limit(2)
            found = (await connection.execute(query)).mappings().all()
        return _entry(found[0]) if own and len(found) == 1 else None

    async def edit(self, entry: Entry, body: str, by: str, headers: Mapping[str, object] | None = None) -> bool:
        """Give a waiting entry another body (and headers); False when it has changed since it was read."""
        now = max(now_ms(), entry.updated + 1)
        values: dict[str, Any] = {"body": body, "edited": now, "edited_by": by, "updated": now}
        values["original_body"] = entry.body if entry.original_body is None else entry.original_body
        if headers is not None:
            values["headers"] = _json(headers)
        unchanged = (trash.c.id == entry.id, trash.c.state == EntryState.WAITING, trash.c.updated == entry.updated)
        async with self._database.transaction() as connection:
            return (await connection.execute(update(trash).where(*unchanged).values(values))).rowcount == 1

    async def claim(self, ids: Sequence[str], claim: Claim) -> Sequence[Entry]:
        """Take waiting entries, and those of claims left behind; return those that are ours now."""
        left_behind = and_(trash.c.state == EntryState.CLAIMED, trash.c.updated < claim.stale)
        free = (
            select(trash.c.id)
            .where(trash.c.id.in_(ids), or_(trash.c.state == EntryState.WAITING, left_behind))
            .order_by(trash.c.number)
            .with_for_update(skip_locked=True)  # what another one is just claiming is not ours; SQLite has one writer
        )
        values = {"state": EntryState.CLAIMED, "claim": claim.token, "changed_by": claim.by, "updated": claim.at}
        async with self._database.transaction() as connection:
            await connection.execute(update(trash).where(trash.c.id.in_(free)).values(values))
            return await _load(connection, ids, select(trash).where(_ours(ids, claim)))

    async def release(self, ids: Sequence[str], claim: Claim) -> None:
        """Let entries of this claim wait again."""
        values = {"state": EntryState.WAITING, "claim": None, "changed_by": None, "updated": now_ms()}
        async with self._database.transaction() as connection:
            await connection.execute(update(trash).where(_ours(ids, claim)).values(values))

    async def decide(self, ids: Sequence[str], claim: Claim, state: EntryState) -> int:
        """Move entries of this claim to this state; return how many were still ours."""
        values = {"state": state, "claim": None, "updated": now_ms()}
        async with self._database.transaction() as connection:
            return (await connection.execute(update(trash).where(_ours(ids, claim)).values(values))).rowcount

    async def purge(self, ids: Sequence[str]) -> int:
        """Delete entries for good, unless they are claimed; return how many."""
        count = 0
        for chunk in chunks(ids):
            async with self._database.transaction() as connection:
                own = (trash.c.id.in_(chunk), trash.c.state != EntryState.CLAIMED)
                count += (await connection.execute(delete(trash).where(*own))).rowcount
        return count

    async def waiting(self) -> Sequence[Entry]:
        """Return the entries that nobody has decided, oldest first."""
        return await load_waiting(self)

    async def clock(self) -> datetime:
        """Return PostgreSQL's time; SQLite has ours."""
        return await self._database.clock()

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()


def _conditions(search: Search) -> list[ColumnElement[bool]]:
    columns = trash.c
    wanted: list[ColumnElement[bool]] = [columns.state.in_(search.states)]
    if search.nodes:
        wanted.append(or_(columns.node_id.in_(search.nodes), columns.node_name.in_(search.nodes)))
    if search.topology:
        wanted.append(or_(columns.topology_id == search.topology, columns.topology_name == search.topology))
    for name, value in (("correlation_id", search.process), ("user", search.user), ("application", search.application)):
        if value:
            wanted.append(columns[name] == value)
    if search.reason:
        wanted.append(columns.reason.icontains(search.reason, autoescape=True))
    if search.type is not None:
        wanted.append(columns.type == search.type)
    if search.created_before is not None:
        wanted.append(columns.created < search.created_before)
    if search.created_after is not None:
        wanted.append(columns.created > search.created_after)
    if search.updated_before is not None:
        wanted.append(columns.updated < search.updated_before)
    return wanted


def _ours(ids: Sequence[str], claim: Claim) -> ColumnElement[bool]:
    return and_(trash.c.id.in_(ids), trash.c.state == EntryState.CLAIMED, trash.c.claim == claim.token)


async def _is_any(connection: AsyncConnection, fits: ColumnElement[bool], beside: int = 0) -> bool:
    """Whether more entries fit than those `beside`."""
    some = select(literal(1)).where(fits).limit(beside + 1).subquery()
    return ((await connection.execute(select(func.count()).select_from(some))).scalar() or 0) > beside


async def _count_instead(connection: AsyncConnection, entry: Entry, equal: ColumnElement[bool]) -> str:
    """Count the entry on the oldest of its equals, and take it out again."""
    await connection.execute(delete(trash).where(trash.c.id == entry.id))
    oldest = select(trash.c.id).where(equal).order_by(trash.c.number).limit(1)
    kept_as = str((await connection.execute(oldest)).scalar_one())
    await connection.execute(update(trash).where(trash.c.id == kept_as).values(more=trash.c.more + 1))
    return kept_as


async def _load(connection: AsyncConnection, ids: Sequence[str], query: Select[Any]) -> Sequence[Entry]:
    rows = {row["id"]: row for row in (await connection.execute(query)).mappings()}
    return [_entry(rows[own]) for own in ids if own in rows]


def _values(entry: Entry) -> dict[str, Any]:
    values = {name: getattr(entry, name) for name in _FIELDS}
    key = flood_key(entry.node_id, entry.correlation_id, entry.reason)
    return values | {
        "headers": _json(entry.headers),
        "updated": entry.updated or entry.created,
        "flood_key": key if entry.type is EntryType.TRASH else None,
    }


def _json(headers: Mapping[str, object]) -> str:
    return json.dumps(dict(headers), default=str)


def _entry(row: RowMapping) -> Entry:
    values = {name: row[name] for name in _FIELDS}
    headers = json.loads(row["headers"])
    return Entry(**values | {"type": EntryType(row["type"]), "state": EntryState(row["state"]), "headers": headers})
