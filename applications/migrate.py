"""Brings the tables up to date, once, however many processes start at the same time.

Alembic's operations do the work, without its environment: that is one for the whole process, and another part of a
process may be migrating tables of its own at the same moment.
"""

from sqlalchemy import Connection, delete, insert, inspect, select, text

from applications.tables import HEAD, versions

LOCK = 7_239_412_881
"""The number of our advisory lock in PostgreSQL."""


def migrate(connection: Connection) -> None:
    """Run the steps that are missing, inside the caller's transaction.

    The tables of a newer version are used as they are: steps only add.
    """
    if _version(connection) >= HEAD:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins too late, for DDL not at all
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    before = _version(connection)
    if before < HEAD:
        _upgrade(connection, before)


def _version(connection: Connection) -> str:
    if not inspect(connection).has_table(versions.name):
        return ""
    return connection.execute(select(versions.c.version_num)).scalar() or ""


def _upgrade(connection: Connection, before: str) -> None:
    # Imported here: it takes its time, and is needed once in the life of a database.
    from alembic.operations import Operations  # noqa: PLC0415 - see above
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - see above

    from applications.migrations import STEPS  # noqa: PLC0415 - see above

    versions.create(connection, checkfirst=True)
    operations = Operations(MigrationContext.configure(connection))
    for version, step in STEPS:
        if version > before:
            step(operations)
    connection.execute(delete(versions))
    connection.execute(insert(versions).values(version_num=HEAD))
