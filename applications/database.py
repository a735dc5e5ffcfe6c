"""The database of the applications: SQLite or PostgreSQL, shared by any number of processes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Insert, Table, create_engine, event, literal, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from applications.errors import InstallsAway
from applications.migrate import migrate

CONNECT_SECONDS: Final = 10
_AWAY_FOR = timedelta(seconds=30)
_SQLITE: Final[Any] = {"connect_args": {"timeout": 30}, "hide_parameters": True}

Result = TypeVar("Result")


class Database:
    """Opens transactions on tables that are up to date; connects when it is first used."""

    def __init__(self, url: str) -> None:
        """`url` is `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://...`; else `ValueError`."""
        try:
            self._engine = _engine(make_url(url))
        except ArgumentError:
            raise ValueError("must be sqlite:///path or postgresql://user:password@host/database") from None
        self.is_postgresql = self._engine.dialect.name == "postgresql"
        self._is_ready = False
        self._sqlite: Engine | None = None
        self._thread = ThreadPoolExecutor(1, "installs")

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
        """Open a transaction. Raises `InstallsAway` for what the database says."""
        with _told():
            await self._prepare()
            async with self._engine.begin() as connection:
                yield connection

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in a transaction, for what is done hundreds of times a second.

        With SQLite it goes to another thread as a whole, not statement by statement: each change of threads waits for
        the one that runs Python. Nor is the disk waited for: a power cut, though no death of the process, may take
        back what was done last. Raises `InstallsAway` for what the database says.
        """
        with _told():
            await self._prepare()
            if not self.is_postgresql:
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._run_here, work)
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    def _run_here(self, work: Callable[[Connection], Result]) -> Result:
        if self._sqlite is None:
            self._sqlite = create_engine(self._engine.url.set(drivername="sqlite"), **_SQLITE)
            event.listen(self._sqlite, "connect", _prepare_frequent_sqlite)
        with self._sqlite.begin() as connection:
            return work(connection)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
        if self._sqlite is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._sqlite.dispose)
        self._thread.shutdown(wait=False)

    async def _prepare(self) -> None:
        if self._is_ready:
            return
        if not self.is_postgresql:
            Path(self._engine.url.database or "").parent.mkdir(parents=True, exist_ok=True)
        async with self._engine.begin() as connection:
            await connection.run_sync(migrate)
        self._is_ready = True


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the database says into `InstallsAway`."""
    try:
        yield
    except DBAPIError as error:
        raise InstallsAway(f"the database of the installs refuses: {str(error.orig).strip()}", _AWAY_FOR) from error
    except (SQLAlchemyError, OSError) as error:
        raise InstallsAway(f"the database of the installs refuses: {error}", _AWAY_FOR) from error


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def _engine(url: URL) -> AsyncEngine:
    match url.get_backend_name():
        case "sqlite" if url.database:
            url = url.set(drivername="sqlite+aiosqlite")
            engine = create_async_engine(url, **_SQLITE)
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            return engine
        case "postgresql" | "postgres":
            return create_async_engine(
                url.set(drivername="postgresql+psycopg"),
                connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "orchesty-worker", **url.query},
                pool_pre_ping=True,
                hide_parameters=True,
            )
    raise ArgumentError


def _prepare_sqlite(connection: Any, _: object, *, synchronous: str = "FULL") -> None:
    """Let readers and writers of several processes work side by side, and lose nothing on a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA synchronous={synchronous}")
    cursor.close()


def _prepare_frequent_sqlite(connection: Any, record: object) -> None:
    """The same without waiting for the disk at each commit."""
    _prepare_sqlite(connection, record, synchronous="NORMAL")
