"""Transactions on SQLite or PostgreSQL, shared by any number of processes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Insert, Table, func, literal, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from worker.database.engine import async_engine, store_errors, sync_engine
from worker.database.migrate import Chain, bring_up_to_date

Result = TypeVar("Result")


class Database:
    """Opens transactions on tables that are up to date; connects when it is first used."""

    def __init__(self, url: str, chain: Chain) -> None:
        """`url` is `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://...`; else `ValueError`."""
        self._url, self._chain = url, chain
        self._engine = async_engine(url)
        self.is_postgresql = self._engine.dialect.name == "postgresql"
        self._is_ready = False
        self._preparing: asyncio.Future[None] | None = None
        self._hasty: Engine | None = None
        self._thread = ThreadPoolExecutor(1, "transactions")

    def insert(self, table: Table) -> Any:
        """Return an insert that knows `on_conflict_do_nothing`."""
        made: Insert = postgresql.insert(table) if self.is_postgresql else sqlite.insert(table)
        return made

    @property
    def now_ms(self) -> ColumnElement[int]:
        """The time that all processes agree on: PostgreSQL's; SQLite has ours."""
        if self.is_postgresql:
            return literal_column("(extract(epoch from clock_timestamp()) * 1000)::bigint")
        return literal(now_ms())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction. Raises `StoreError` for what the database says."""
        with store_errors():
            await self._prepare()
            async with self._engine.begin() as connection:
                yield connection

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in a transaction, for what is done hundreds of times a second.

        With SQLite it goes to another thread as a whole, not statement by statement: each change of threads waits for
        the one that runs Python. Nor is the disk waited for: a power cut, though no death of the process, may take
        back what was done last. Raises `StoreError` for what the database says.
        """
        with store_errors():
            await self._prepare()
            if not self.is_postgresql:
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._run_here, work)
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    def _run_here(self, work: Callable[[Connection], Result]) -> Result:
        if self._hasty is None:
            self._hasty = sync_engine(self._url, waits_for_disk=False)
        with self._hasty.begin() as connection:
            return work(connection)

    async def clock(self) -> datetime:
        """Return the time of PostgreSQL, without touching a table; SQLite has ours."""
        if not self.is_postgresql:
            return datetime.now(UTC)
        with store_errors():
            async with self._engine.connect() as connection:
                told: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
                return told

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
        if self._hasty is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._hasty.dispose)
        self._thread.shutdown(wait=False)

    async def _prepare(self) -> None:
        """Migrate once; those who come meanwhile wait for the same attempt, and one of them may be cancelled."""
        if self._is_ready:
            return
        if self._preparing is None or self._preparing.done():
            self._preparing = asyncio.ensure_future(asyncio.to_thread(bring_up_to_date, self._url, self._chain))
            self._preparing.add_done_callback(_looked_at)
        await asyncio.shield(self._preparing)
        self._is_ready = True


def _looked_at(attempt: asyncio.Future[None]) -> None:
    """Keep asyncio quiet about an error for which nobody waits any more."""
    if not attempt.cancelled():
        attempt.exception()


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
