"""Brings tables up to date, once, however many processes start at the same time.

Each part of the worker that keeps something has a chain of migrations of its own, so that parts may share a database or
not. The steps only add: workers of the version before can go on meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, MetaData, Table, inspect, text

from applications.private_files import make_private_folder
from worker.database.engine import store_errors, sync_engine

_one_at_a_time = Lock()
"""Alembic keeps what it works on in globals; databases of one process may be opened in several threads."""

LOCK = 7_239_412_880
"""The number of our advisory lock in PostgreSQL. Workers of earlier versions take the same ones: it may not change."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The migrations of one part."""

    folder: Path
    """Where Alembic finds `env.py` and `versions`."""
    version_table: str
    """Alembic's note of the newest migration; of our own, for the database may be shared with others."""
    head: str
    """The newest migration. Compared before Alembic is loaded, which takes its time."""
    lock: int = LOCK
    """The advisory lock in PostgreSQL that keeps others from migrating at the same time."""


def bring_up_to_date(url: str, chain: Chain) -> None:
    """Run the migrations that are missing. It blocks: call it in a thread.

    The tables of a newer version are used as they are: migrations only add.
    """
    engine = sync_engine(url)
    if engine.dialect.name == "sqlite":
        make_private_folder(Path(engine.url.database or "").parent)
    try:
        with engine.begin() as connection:
            _migrate(connection, chain)
    finally:
        engine.dispose()


def _migrate(connection: Connection, chain: Chain) -> None:
    if _is_current(connection, chain):
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins too late, for DDL not at all
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": chain.lock})
    if not _is_current(connection, chain):
        _upgrade(connection, chain)


def probe(url: str, chain: Chain, table: Table) -> tuple[str | None, Sequence[str]]:
    """Return the newest migration that was run, None before the first, and which tables and columns are missing.

    It blocks, and changes nothing. Tables are those that belong to this one. Raises `StoreError` when the database is
    away, or `table` cannot be written (where there is none yet: be made).
    """
    engine = sync_engine(url)
    try:
        with store_errors(), engine.connect() as connection:
            version = _version(connection, chain)
            missing = [] if version is None else _missing(connection, table.metadata)
            making, writing = f"CREATE TABLE {table}_check (number INTEGER)", f"DELETE FROM {table} WHERE 1 = 0"  # noqa: S608 - ours
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # else what is made is there at once
            connection.execute(text(making if version is None or table.name in missing else writing))
            connection.rollback()
            return version, missing
    finally:
        engine.dispose()


def _missing(connection: Connection, wanted: MetaData) -> list[str]:
    """Return what is not there: tables, and columns of those that are."""
    there = inspect(connection)
    found: list[str] = []
    for table in wanted.sorted_tables:
        columns = {column["name"] for column in there.get_columns(table.name)} if there.has_table(table.name) else set()
        missing = [column.name for column in table.columns if column.name not in columns]
        found += [f"{table.name}.{name}" for name in missing] if columns else [table.name]
    return found


def _is_current(connection: Connection, chain: Chain) -> bool:
    version = _version(connection, chain)
    return version is not None and version >= chain.head


def _version(connection: Connection, chain: Chain) -> str | None:
    if not inspect(connection).has_table(chain.version_table):
        return None
    version = connection.execute(text(f"SELECT version_num FROM {chain.version_table}")).scalar()  # noqa: S608 - ours
    return None if version is None else str(version)


def _upgrade(connection: Connection, chain: Chain) -> None:
    # Imported here: it takes its time, and is needed once in the life of a database.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(chain.folder))
    config.attributes["connection"] = connection
    with _one_at_a_time:
        command.upgrade(config, chain.head)
