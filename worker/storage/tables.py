"""The tables of the data storage, as the newest migration leaves them."""

from pathlib import Path

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, String, Table, Text

from worker.database.migrate import Chain

VERSION_TABLE = "storage_version"
CHAIN = Chain(Path(__file__).parent / "migrations", VERSION_TABLE, "0004")

metadata = MetaData()
number = BigInteger().with_variant(Integer(), "sqlite")

chunks = Table(
    "storage_chunks",
    metadata,
    Column("number", number, primary_key=True, autoincrement=True),
    Column("collection", String(64), nullable=False),
    Column("part", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("item_count", Integer, nullable=False),
)
collections = Table(
    "storage_collections",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("application", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
values = Table(
    "storage_values",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated", BigInteger, nullable=False),
)
groups = Table(
    "storage_groups",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("first", String(64), nullable=False),
    Column("closed_by", String(64)),
    Column("deadline", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
members = Table(
    "storage_members",
    metadata,
    Column("number", number, primary_key=True, autoincrement=True),
    Column("group_id", String(64), nullable=False),
    Column("part", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

compared = Table(
    "storage_compared",
    metadata,
    Column("number", number, primary_key=True, autoincrement=True),
    Column("master", String(64), unique=True),  # none: it was dropped, and its items are on their way out
    Column("runs", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("held_by", String(64)),
    Column("held_until", BigInteger),
)
compared_items = Table(
    "storage_compared_items",
    metadata,
    Column("collection", BigInteger, primary_key=True, autoincrement=False),
    Column("id", LargeBinary, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("written", BigInteger, nullable=False),  # in which run of the collection
)
compared_runs = Table(
    "storage_compared_runs",
    metadata,
    Column("number", number, primary_key=True, autoincrement=True),
    Column("run", String(64), unique=True),  # none: it was dropped
    Column("collection", BigInteger, nullable=False),
    Column("began", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("ended_by", String(64)),
    Column("is_over", Boolean, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
compared_seen = Table(
    "storage_compared_seen",
    metadata,
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("id", LargeBinary, primary_key=True),
)
compared_answers = Table(
    "storage_compared_answers",
    metadata,
    Column("message", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
drafts = Table(
    "storage_drafts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("collection", BigInteger, nullable=False),
    Column("id_field", Text, nullable=False),
    Column("kept_ms", BigInteger),
    Column("expires", BigInteger, nullable=False),
)
draft_items = Table(
    "storage_draft_items",
    metadata,
    Column("draft", String(64), primary_key=True),
    Column("id", LargeBinary, primary_key=True),
    Column("digest", LargeBinary),  # none: the item was deleted
)
cached = Table(
    "storage_cached",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
locks = Table(
    "storage_locks",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("owner", String(32), nullable=False),
    Column("until", BigInteger, nullable=False),
)
