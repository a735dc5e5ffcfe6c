"""Marks in SQLite or PostgreSQL."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, and_, delete, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from worker.database.engine import store_errors, sync_engine
from worker.database.migrate import bring_up_to_date
from worker.deduplication.marks import Mark, Taken
from worker.deduplication.tables import CHAIN, marks
from worker.protocol.message import now_ms

Value = TypeVar("Value")

PURGE_MS = 60_000
"""How often marks whose time is over are deleted."""


class SqlMarks:
    """Marks in a table."""

    def __init__(self, url: str) -> None:
        """`url` is `sqlite:///path` or `postgresql://...`; it connects when it is first used."""
        self._url = url
        self._engine = sync_engine(url)
        self._insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        self._preparing = asyncio.Lock()
        self._is_ready = False
        self._purged = 0

    async def take(self, mark: Mark, *, takes_over: bool = False) -> Taken:
        """Claim the key, unless another message has it; or with `takes_over`, unless its message is done."""
        return await self._run(lambda connection: self._take(connection, mark, takes_over=takes_over))

    async def confirm(self, mark: Mark) -> None:
        """Note that the message is done, if the key is still its."""
        values = {"is_done": True, "expires": _expires(mark)}
        statement = update(marks).where(marks.c.id == mark.id, marks.c.owner == mark.owner).values(values)
        await self._run(lambda connection: connection.execute(statement))

    async def release(self, mark: Mark) -> None:
        """Give the key up, if it is still the message's."""
        statement = delete(marks).where(marks.c.id == mark.id, marks.c.owner == mark.owner)
        await self._run(lambda connection: connection.execute(statement))

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._engine.dispose)

    def _take(self, connection: Connection, mark: Mark, *, takes_over: bool) -> Taken:
        now = now_ms()
        if now > self._purged + PURGE_MS:
            self._purged = now
            connection.execute(delete(marks).where(marks.c.expires <= now))
        values = {"owner": mark.owner, "is_done": False, "expires": _expires(mark)}
        is_claimable = or_(marks.c.owner == mark.owner, literal(takes_over))
        free = or_(marks.c.expires <= now, and_(is_claimable, marks.c.is_done.is_(False)))
        claim = self._insert(marks).values(id=mark.id, **values)
        claim = claim.on_conflict_do_update(index_elements=["id"], set_=values, where=free)
        if connection.execute(claim.returning(marks.c.id)).first() is not None:
            return Taken.OURS
        owner = connection.execute(select(marks.c.owner).where(marks.c.id == mark.id)).scalar()
        return Taken.DONE if owner == mark.owner else Taken.DUPLICATE

    async def _run(self, work: Callable[[Connection], Value]) -> Value:
        """Do this in a transaction, in a thread."""
        with store_errors():
            async with self._preparing:
                if not self._is_ready:
                    await asyncio.to_thread(bring_up_to_date, self._url, CHAIN)
                    self._is_ready = True
            return await asyncio.to_thread(self._in_transaction, work)

    def _in_transaction(self, work: Callable[[Connection], Value]) -> Value:
        with self._engine.begin() as connection:
            return work(connection)


def _expires(mark: Mark) -> int:
    return now_ms() + round(mark.seconds * 1000)
