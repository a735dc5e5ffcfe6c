"""The data storage in SQLite or PostgreSQL. Several processes may use the same database."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TypeVar

from sqlalchemy import Connection, Executable, and_, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from connectors.errors import StorageAway
from connectors.storage import Chunk, Joined, Kept, Part, Scope, ScopeSearch, Standing, Terms, now_ms
from worker.database.engine import store_errors, sync_engine
from worker.database.migrate import bring_up_to_date
from worker.errors import StoreError
from worker.storage.tables import CHAIN, chunks, collections, groups, members, values

Result = TypeVar("Result")

PURGE_MS = 10 * 60 * 1000
"""How often a process that writes deletes what has expired."""

PURGE_TOGETHER = 1000
CACHE_KIB = 2_000
"""Chunks are written and read once: keeping their pages would only take memory."""


class SqlStore:
    """Chunks, values and groups in tables. The statements run in threads."""

    def __init__(self, url: str) -> None:
        """`url` is `sqlite:///path` or `postgresql://...`."""
        self._url = url
        self._engine = sync_engine(url, cache_kib=CACHE_KIB)
        self._is_postgresql = self._engine.dialect.name == "postgresql"
        self._insert = postgresql.insert if self._is_postgresql else sqlite.insert
        self._is_ready = False
        self._purged = 0

    async def write(self, scope: Scope, chunk: Chunk) -> None:
        """Keep a chunk."""
        row = {"collection": scope.key, "part": chunk.part, "position": chunk.index}
        content = {"body": chunk.body, "expires": chunk.expires, "item_count": chunk.items}
        put = self._insert(chunks).values(**row, **content)
        put = put.on_conflict_do_update(index_elements=list(row), set_=content)
        own = (chunks.c.collection == scope.key, chunks.c.part == chunk.part)

        def work(connection: Connection) -> None:
            if chunk.index == 0:
                connection.execute(self._named(scope, chunk.expires))
                connection.execute(delete(chunks).where(*own))
                self._purge(connection)
            connection.execute(put)

        await self._run(work)

    def _named(self, scope: Scope, expires: int) -> Executable:
        put = self._insert(collections).values(key=scope.key, **asdict(scope), expires=expires)
        return put.on_conflict_do_update(index_elements=["key"], set_={"expires": expires})

    async def read(self, collection: str, after: str, now: int) -> tuple[str, bytes] | None:
        """Return the chunk after this place."""
        query = select(chunks.c.number, chunks.c.body).where(
            chunks.c.collection == collection, chunks.c.number > int(after or 0), chunks.c.expires > now
        )
        query = query.order_by(chunks.c.number).limit(1)
        found = await self._run(lambda connection: connection.execute(query).one_or_none(), is_writing=False)
        return None if found is None else (str(found.number), bytes(found.body))

    async def clear(self, scope: Scope) -> None:
        """Delete all chunks."""

        def work(connection: Connection) -> None:
            connection.execute(delete(collections).where(collections.c.key == scope.key))
            connection.execute(delete(chunks).where(chunks.c.collection == scope.key))

        await self._run(work)

    async def find(self, search: ScopeSearch, limit: int, now: int) -> Sequence[Kept]:
        """Return collections."""
        wanted = [collections.c[name] == value for name, value in search.wanted.items()]
        own = (chunks.c.collection == collections.c.key, chunks.c.expires > now)
        items = func.sum(chunks.c.item_count).label("items")
        query = select(*collections.c, items).join(chunks, and_(*own)).where(*wanted).group_by(collections.c.key)
        query = query.having(items > 0).order_by(collections.c.expires.desc(), collections.c.key).limit(limit)
        rows = await self._run(lambda connection: connection.execute(query).mappings().all(), is_writing=False)
        fields = ("name", "process", "application", "user")
        return [Kept(Scope(*(row[field] for field in fields)), row["items"], row["expires"]) for row in rows]

    async def load(self, key: str) -> str | None:
        """Return a value."""
        query = select(values.c.value).where(values.c.key == key)
        return await self._run(lambda connection: connection.execute(query).scalar_one_or_none(), is_writing=False)

    async def save(self, key: str, value: str) -> None:
        """Keep a value."""
        content = {"value": value, "updated": now_ms()}
        put = self._insert(values).values(key=key, **content)
        put = put.on_conflict_do_update(index_elements=["key"], set_=content)
        await self._run(lambda connection: connection.execute(put))

    async def join(self, group: str, part: Part, terms: Terms, now: int) -> Joined:
        """Add a part."""
        return await self._run(lambda connection: self._join(connection, group, part, terms, now))

    async def ping(self) -> None:
        """Return when the database answers."""
        await asyncio.to_thread(self._ping)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._engine.dispose)

    def _ping(self) -> None:
        with _away(), self._engine.connect() as connection:
            connection.execute(select(1))

    def _join(self, connection: Connection, group: str, part: Part, terms: Terms, now: int) -> Joined:
        self._purge(connection)
        connection.execute(
            self._insert(groups)
            .values(id=group, first=part.id, deadline=terms.deadline, expires=terms.expires)
            .on_conflict_do_nothing()
        )
        # Held until the end: of parts that come at the same time, one is the last.
        found = connection.execute(select(groups).where(groups.c.id == group).with_for_update()).one()
        mine = (members.c.group_id == group, members.c.part == part.id)
        is_known = connection.execute(select(members.c.number).where(*mine)).first() is not None
        if found.closed_by is not None and found.closed_by != part.id:
            return Joined(Standing.KNOWN if is_known else Standing.LATE, 0, found.deadline)
        if not is_known:
            row = {"group_id": group, "part": part.id, "position": part.position, "body": part.body.encode()}
            connection.execute(members.insert().values(row))
        counted = select(func.count()).select_from(members).where(members.c.group_id == group)
        count = int(connection.execute(counted).scalar_one())
        standing = stand(part, count, terms, now, found.first, found.deadline)
        if not takes_on(standing, terms):
            return Joined(standing, count, found.deadline)
        if found.closed_by is None:
            closing = {"closed_by": part.id, "expires": terms.forgotten}
            connection.execute(update(groups).where(groups.c.id == group).values(closing))
        return Joined(standing, count, found.deadline, _parts(connection, group))

    def _purge(self, connection: Connection) -> None:
        """Delete some of what has expired, now and then."""
        now = now_ms()
        if now - self._purged < PURGE_MS:
            return
        self._purged = now
        old = select(chunks.c.number).where(chunks.c.expires <= now).limit(PURGE_TOGETHER)
        connection.execute(delete(chunks).where(chunks.c.number.in_(old)))
        unnamed = select(collections.c.key).where(collections.c.expires <= now).limit(PURGE_TOGETHER)
        keys = connection.execute(unnamed.with_for_update(skip_locked=True)).scalars().all()
        connection.execute(delete(collections).where(collections.c.key.in_(keys)))
        ended = (
            select(groups.c.id).where(groups.c.expires <= now).limit(PURGE_TOGETHER).with_for_update(skip_locked=True)
        )
        ids = connection.execute(ended).scalars().all()
        connection.execute(delete(members).where(members.c.group_id.in_(ids)))
        connection.execute(delete(groups).where(groups.c.id.in_(ids)))

    async def _run(self, work: Callable[[Connection], Result], *, is_writing: bool = True) -> Result:
        return await asyncio.to_thread(self._in_transaction, work, is_writing=is_writing)

    def _in_transaction(self, work: Callable[[Connection], Result], *, is_writing: bool) -> Result:
        with _away():
            if not self._is_ready:
                bring_up_to_date(self._url, CHAIN)
                self._is_ready = True
            with self._engine.begin() as connection:
                if is_writing and not self._is_postgresql:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins too late
                return work(connection)


def stand(part: Part, count: int, terms: Terms, now: int, first: str, deadline: int) -> Standing:
    """Return what a part means for the others, in a group that no other part has closed."""
    if count >= terms.count:
        return Standing.COMPLETE
    if now >= deadline and (terms.closes or part.id == first):
        return Standing.TIMED_OUT
    return Standing.FIRST if part.id == first else Standing.WAITING


def takes_on(standing: Standing, terms: Terms) -> bool:
    """Whether the part closes the group."""
    return standing is Standing.COMPLETE or (standing is Standing.TIMED_OUT and terms.closes)


def _parts(connection: Connection, group: str) -> list[Part]:
    query = select(members).where(members.c.group_id == group).order_by(members.c.position, members.c.number)
    return [Part(row.part, row.position, bytes(row.body).decode()) for row in connection.execute(query)]


@contextmanager
def _away() -> Iterator[None]:
    try:
        with store_errors():
            yield
    except StoreError as error:
        raise StorageAway(reason=f"data storage: {error}") from error
