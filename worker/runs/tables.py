"""The tables, as the newest migration leaves them."""

from pathlib import Path

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, SmallInteger, String, Table, Text

from worker.database.migrate import Chain

VERSION_TABLE = "process_version"

CHAIN = Chain(Path(__file__).parent / "migrations", VERSION_TABLE, "0001")

_metadata = MetaData()

runs = Table(
    "process_run",
    _metadata,
    Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("correlation_id", Text, nullable=False, unique=True),
    Column("topology_id", Text, nullable=False),
    Column("topology_name", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("total", BigInteger, nullable=False, default=0),
    Column("ok", BigInteger, nullable=False, default=0),
    Column("failed", BigInteger, nullable=False, default=0),
    Column("cancelled", BigInteger, nullable=False, default=0),
    Column("is_cancelled", Boolean, nullable=False, default=False),
    Column("is_compact", Boolean, nullable=False, default=False),
    Column("folded", Text),
    Column("notice_due", BigInteger),
    Column("notice_tries", Integer, nullable=False, default=0),
)
"""One row for each run. When it is compact, the rows of messages that went well are gone, and `folded` has their
counts: JSON, node id to counts by state."""

messages = Table(
    "process_message",
    _metadata,
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("node", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""One row for each message that is known, until its run has ended. By run first: those of one run lie together."""

nodes = Table(
    "process_node",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
)
"""Names of nodes, for people."""
