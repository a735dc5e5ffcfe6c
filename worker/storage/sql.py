"""The data storage in SQLite or PostgreSQL. Several processes may use the same database."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Executable, and_, delete, func, select, update

from connectors.clock import now_ms
from connectors.storage import Chunk, Joined, Kept, Part, Scope, ScopeSearch, Standing, Terms
from worker.storage.database import StorageDatabase, insert_into
from worker.storage.tables import chunks, collections, groups, members, values

PURGE_MS = 10 * 60 * 1000
"""How often a process that writes deletes what has expired."""

PURGE_TOGETHER = 1000


class SqlStore:
    """Chunks, values and groups in tables. The statements run in threads."""

    def __init__(self, database: StorageDatabase) -> None:
        self._database = database
        self._run = database.run
        self._purged = 0

    async def write(self, scope: Scope, chunk: Chunk) -> None:
        """Keep a chunk."""
        row = {"collection": scope.key, "part": chunk.part, "position": chunk.index}
        content = {"body": chunk.body, "expires": chunk.expires, "item_count": chunk.items}
        own = (chunks.c.collection == scope.key, chunks.c.part == chunk.part)

        def work(connection: Connection) -> None:
            if chunk.index == 0:
                connection.execute(_named(connection, scope, chunk.expires))
                connection.execute(delete(chunks).where(*own))
                self._purge(connection)
            put = insert_into(connection, chunks).values(**row, **content)
            connection.execute(put.on_conflict_do_update(index_elements=list(row), set_=content))

        await self._run(work)

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

        def work(connection: Connection) -> None:
            put = insert_into(connection, values).values(key=key, **content)
            connection.execute(put.on_conflict_do_update(index_elements=["key"], set_=content))

        await self._run(work)

    async def join(self, group: str, part: Part, terms: Terms, now: int) -> Joined:
        """Add a part."""
        return await self._run(lambda connection: self._join(connection, group, part, terms, now))

    async def ping(self) -> None:
        """Return when the database answers."""
        await self._database.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()

    def _join(self, connection: Connection, group: str, part: Part, terms: Terms, now: int) -> Joined:
        self._purge(connection)
        connection.execute(
            insert_into(connection, groups)
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


def _named(connection: Connection, scope: Scope, expires: int) -> Executable:
    put = insert_into(connection, collections).values(key=scope.key, **asdict(scope), expires=expires)
    named: Executable = put.on_conflict_do_update(index_elements=["key"], set_={"expires": expires})
    return named


def _parts(connection: Connection, group: str) -> list[Part]:
    query = select(members).where(members.c.group_id == group).order_by(members.c.position, members.c.number)
    return [Part(row.part, row.position, bytes(row.body).decode()) for row in connection.execute(query)]
