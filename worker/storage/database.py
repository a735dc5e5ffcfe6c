"""The database below the data storage: transactions in threads, on tables that are brought up to date."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from connectors.errors import StorageAway
from worker.database.engine import store_errors, sync_engine
from worker.database.migrate import bring_up_to_date
from worker.errors import StoreError
from worker.storage.tables import CHAIN

Result = TypeVar("Result")

CACHE_KIB = 2_000
"""What is stored is written and read once: keeping its pages would only take memory."""


class StorageDatabase:
    """SQLite or PostgreSQL. Raises `StorageAway` for whatever it says."""

    def __init__(self, url: str) -> None:
        """`url` is `sqlite:///path` or `postgresql://...`; it connects when it is first used."""
        self._url = url
        self.engine = sync_engine(url, cache_kib=CACHE_KIB)
        self._is_postgresql = self.engine.dialect.name == "postgresql"
        self._is_ready = False

    async def run(self, work: Callable[[Connection], Result], *, is_writing: bool = True) -> Result:
        """Do `work` in a transaction."""
        return await asyncio.to_thread(self._in_transaction, work, is_writing=is_writing)

    async def ping(self) -> None:
        """Return when it answers; no table is needed."""
        await asyncio.to_thread(self._ping)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self.engine.dispose)

    def _ping(self) -> None:
        with _away(), self.engine.connect() as connection:
            connection.execute(select(1))

    def _in_transaction(self, work: Callable[[Connection], Result], *, is_writing: bool) -> Result:
        with _away():
            if not self._is_ready:
                bring_up_to_date(self._url, CHAIN)
                self._is_ready = True
            with self.engine.begin() as connection:
                if is_writing and not self._is_postgresql:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins too late
                return work(connection)


def insert_into(connection: Connection, table: Table) -> Any:
    """Return an insert that knows `on_conflict_do_update`."""
    made: Insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    return made


@contextmanager
def _away() -> Iterator[None]:
    try:
        with store_errors():
            yield
    except StoreError as error:
        raise StorageAway(reason=f"data storage: {error}") from error
