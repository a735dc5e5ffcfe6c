"""Connections for work that is done in a thread: many statements in one go cost one hop instead of one each."""

from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.url import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_SECONDS = 10
SILENCE_MS = 30_000
"""How long PostgreSQL's host may leave what was sent unacknowledged before the connection counts as lost."""
BUSY_SECONDS = 30
"""How long SQLite waits for another writer."""
CACHE_KIB = 32_000
"""Pages that a connection of SQLite keeps in memory, for tables that are searched."""

POSTGRESQL = "postgresql+psycopg"


def sync_engine(url: str, *, cache_kib: int = CACHE_KIB) -> Engine:
    """Return an engine for `sqlite:///path` or `postgresql://...`; it connects when it is first used."""
    parsed = make_url(url)
    return _prepared(create_engine(_with_driver(parsed, "sqlite"), **_options(parsed)), cache_kib)


def async_engine(url: str) -> AsyncEngine:
    """Return the same for work that is done in the event loop."""
    parsed = make_url(url)
    engine = create_async_engine(_with_driver(parsed, "sqlite+aiosqlite"), **_options(parsed))
    _prepared(engine.sync_engine, CACHE_KIB)
    return engine


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


def _prepared(engine: Engine, cache_kib: int) -> Engine:
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", partial(_prepare_sqlite, cache_kib))
    return engine


def _prepare_sqlite(cache_kib: int, connection: Any, _: object) -> None:
    """Let readers and writers of several processes work side by side, and lose nothing on a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA cache_size=-{cache_kib}")
    cursor.close()
