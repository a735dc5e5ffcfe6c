"""Connections to SQLite and PostgreSQL, and what those say as errors of ours."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.url import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from applications.private_files import make_private_file
from worker.errors import StoreError

CONNECT_SECONDS = 10
SILENCE_MS = 30_000
"""How long PostgreSQL's host may leave what was sent unacknowledged before the connection counts as lost."""
BUSY_SECONDS = 30
SWITCH_PAUSES = (0.01,) * 100
"""Seconds between attempts to switch a file to its log of writes, which takes milliseconds."""
"""How long SQLite waits for another writer."""
CACHE_KIB = 32_000
"""Pages that a connection of SQLite keeps in memory, for tables that are searched."""

POSTGRESQL = "postgresql+psycopg"


def sync_engine(url: str, *, cache_kib: int = CACHE_KIB, waits_for_disk: bool = True) -> Engine:
    """Return an engine for work that is done in a thread: many statements in one go cost one hop instead of one each.

    `url` is `sqlite:///path` or `postgresql://...`, else `ValueError`; it connects when it is first used. SQLite loses
    nothing on a power cut, unless it does not wait for the disk.
    """
    parsed = parsed_url(url)
    engine = create_engine(_with_driver(parsed, "sqlite"), **_options(parsed))
    return _prepared(engine, cache_kib, waits_for_disk=waits_for_disk)


def async_engine(url: str) -> AsyncEngine:
    """Return the same for work that is done in the event loop."""
    parsed = parsed_url(url)
    engine = create_async_engine(_with_driver(parsed, "sqlite+aiosqlite"), **_options(parsed))
    _prepared(engine.sync_engine, CACHE_KIB, waits_for_disk=True)
    return engine


def parsed_url(url: str) -> URL:
    """Return the address of a database. Raises `ValueError`, without the URL in it, for anything else."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = URL.create("none")
    match parsed.get_backend_name():
        case "postgresql" | "postgres":
            return parsed
        case "sqlite" if parsed.database:
            return parsed
    raise ValueError("must be sqlite:///path or postgresql://user:password@host/database")


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn SQLAlchemy's errors, and those of an SQLite file's folder, into `StoreError`."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(str(error.orig).strip()) from error
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(str(error)) from error


def _with_driver(url: URL, sqlite: str) -> URL:
    return url.set(drivername=sqlite if url.get_backend_name() == "sqlite" else POSTGRESQL)


def _options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False}, "hide_parameters": True}
    arguments = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": SILENCE_MS,
        "application_name": "orchesty-worker",
        **url.query,
    }
    return {"connect_args": arguments, "pool_pre_ping": True, "hide_parameters": True}


def _prepared(engine: Engine, cache_kib: int, *, waits_for_disk: bool) -> Engine:
    if engine.dialect.name == "sqlite":
        synchronous = "FULL" if waits_for_disk else "NORMAL"
        event.listen(engine, "do_connect", _make_sqlite_private)
        event.listen(engine, "connect", partial(_prepare_sqlite, cache_kib, synchronous))
    return engine


def _make_sqlite_private(_: object, __: object, arguments: list[Any], ___: object) -> None:
    """Make the file before SQLite does, which gives its mode to the files beside it; what fails here, fails there."""
    path = Path(arguments[0])
    if path.name != ":memory:":
        with suppress(OSError, ValueError):
            make_private_file(path)


def _prepare_sqlite(cache_kib: int, synchronous: str, connection: Any, _: object) -> None:
    """Let readers and writers of several processes work side by side."""
    cursor = connection.cursor()
    _switch_to_wal(cursor)
    cursor.execute(f"PRAGMA synchronous={synchronous}")
    cursor.execute(f"PRAGMA cache_size=-{cache_kib}")
    cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    """Try it again while others do the same with a new file: SQLite itself does not wait here."""
    for pause in (*SWITCH_PAUSES, None):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if pause is None or "locked" not in str(error):
                raise
            time.sleep(pause)
        else:
            return
