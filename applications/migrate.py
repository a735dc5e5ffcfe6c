"""Brings the tables up to date, once, however many processes start at the same time.

The steps are in `migrations/versions`. They only add, so that processes of the version before can go on meanwhile.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from applications.tables import HEAD, VERSION_TABLE

LOCK = 7_239_412_881
"""The number of our advisory lock in PostgreSQL."""


def migrate(connection: Connection) -> None:
    """Run the migrations that are missing, inside the caller's transaction."""
    if _is_current(connection):
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins too late, for DDL not at all
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    if not _is_current(connection):
        _upgrade(connection)


def _is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our constant
    return version is not None and str(version) >= HEAD


def _upgrade(connection: Connection) -> None:
    # Imported here: it takes its time, and is needed once in the life of a database.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
