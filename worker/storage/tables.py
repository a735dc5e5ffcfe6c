"""The tables of the data storage, as the newest migration leaves them."""

from pathlib import Path

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, Text

from worker.database.migrate import Chain

VERSION_TABLE = "storage_version"
CHAIN = Chain(Path(__file__).parent / "migrations", VERSION_TABLE, "0002")

_metadata = MetaData()
_number = BigInteger().with_variant(Integer(), "sqlite")

chunks = Table(
    "storage_chunks",
    _metadata,
    Column("number", _number, primary_key=True, autoincrement=True),
    Column("collection", String(64), nullable=False),
    Column("part", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("item_count", Integer, nullable=False),
)
collections = Table(
    "storage_collections",
    _metadata,
    Column("key", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("application", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
values = Table(
    "storage_values",
    _metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated", BigInteger, nullable=False),
)
groups = Table(
    "storage_groups",
    _metadata,
    Column("id", String(64), primary_key=True),
    Column("first", String(64), nullable=False),
    Column("closed_by", String(64)),
    Column("deadline", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
members = Table(
    "storage_members",
    _metadata,
    Column("number", _number, primary_key=True, autoincrement=True),
    Column("group_id", String(64), nullable=False),
    Column("part", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
