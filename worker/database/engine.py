"""Connections for work that is done in a thread: many statements in one go cost one hop instead of one each."""

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.url import make_url

CONNECT_SECONDS = 10
SILENCE_MS = 30_000
"""How long PostgreSQL's host may leave what was sent unacknowledged before the connection counts as lost."""
BUSY_SECONDS = 30
"""How long SQLite waits for another writer."""


def sync_engine(url: str) -> Engine:
    """Return an engine for `sqlite:///path` or `postgresql://...`; it connects when it is first used."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        arguments = {"timeout": BUSY_SECONDS, "check_same_thread": False}
        engine = create_engine(parsed, connect_args=arguments, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": SILENCE_MS,
            "application_name": "orchesty-worker",
            **parsed.query,
        },
        pool_pre_ping=True,
        hide_parameters=True,
    )


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Let readers and writers of several processes work side by side, and lose nothing on a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA cache_size=-32000")
    cursor.close()
