"""Cached answers in SQLite or PostgreSQL."""

from sqlalchemy import Connection, delete, or_, select

from connectors.clock import now_ms
from worker.storage.database import StorageDatabase, insert_into
from worker.storage.tables import cached, locks

PURGE_TOGETHER = 1000


class SqlCache:
    """Answers and locks in tables."""

    def __init__(self, database: StorageDatabase) -> None:
        self._run = database.run

    async def recall(self, key: str, now: int) -> str | None:
        """Return an answer."""
        query = select(cached.c.value).where(cached.c.key == key, cached.c.expires > now)
        return await self._run(lambda connection: connection.execute(query).scalar_one_or_none(), is_writing=False)

    async def remember(self, key: str, value: str, expires: int) -> None:
        """Keep an answer, and forget some that have expired."""
        content = {"value": value, "expires": expires}

        def work(connection: Connection) -> None:
            put = insert_into(connection, cached).values(key=key, **content)
            connection.execute(put.on_conflict_do_update(index_elements=["key"], set_=content))
            old = select(cached.c.key).where(cached.c.expires <= now_ms()).limit(PURGE_TOGETHER)
            keys = connection.execute(old.with_for_update(skip_locked=True)).scalars().all()
            connection.execute(delete(cached).where(cached.c.key.in_(keys)))

        await self._run(work)

    async def lock(self, key: str, owner: str, until: int, now: int) -> bool:
        """Take a lock that nobody has any more, or hold the own one for longer."""

        def work(connection: Connection) -> bool:
            put = insert_into(connection, locks).values(key=key, owner=owner, until=until)
            free = or_(locks.c.owner == owner, locks.c.until <= now)
            put = put.on_conflict_do_update(
                index_elements=["key"], set_={"owner": owner, "until": until}, where=free
            ).returning(locks.c.owner)
            return connection.execute(put).scalar_one_or_none() == owner

        return await self._run(work)

    async def unlock(self, key: str, owner: str) -> None:
        """Delete the own lock."""
        gone = delete(locks).where(locks.c.key == key, locks.c.owner == owner)
        await self._run(lambda connection: connection.execute(gone))
