"""The table, as the newest migration leaves it."""

from pathlib import Path

from sqlalchemy import BigInteger, Boolean, Column, MetaData, String, Table

from worker.database.migrate import Chain

VERSION_TABLE = "deduplication_version"
CHAIN = Chain(Path(__file__).parent / "migrations", VERSION_TABLE, "0001")

marks = Table(
    "deduplication_mark",
    MetaData(),
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("is_done", Boolean, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
"""One row for each key; `expires` in ms since the epoch."""
