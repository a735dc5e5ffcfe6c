"""The table of the SQL stores, as the newest migration leaves it."""

from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from worker.database.migrate import Chain

VERSION_TABLE = "trash_version"
HEAD = "0003"
CHAIN = Chain(Path(__file__).parent / "migrations", VERSION_TABLE, HEAD)
"""The migrations; `HEAD` is the newest."""


class AnyText(TypeDecorator[str]):
    """Text that may hold NUL, which PostgreSQL's text cannot: there it is stored as UTF-8 bytes."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the type of the column."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else LargeBinary())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """Return what is stored."""
        return value if value is None or dialect.name == "sqlite" else value.encode()

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return the text."""
        return value if value is None or isinstance(value, str) else bytes(value).decode()


class PlainText(TypeDecorator[str]):
    """Text to search in. PostgreSQL gets a replacement character for NUL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what is stored."""
        return value if value is None or dialect.name == "sqlite" else value.replace("\x00", "\ufffd")


trash = Table(
    "trash",
    MetaData(),
    Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("type", String(10), nullable=False),
    Column("state", String(10), nullable=False),
    Column("node_id", PlainText, nullable=False),
    Column("node_name", PlainText, nullable=False),
    Column("topology_id", PlainText, nullable=False),
    Column("topology_name", PlainText, nullable=False),
    Column("correlation_id", PlainText, nullable=False),
    Column("user", PlainText),
    Column("reason", PlainText),
    Column("return_exchange", PlainText, nullable=False),
    Column("return_routing_key", PlainText, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", AnyText),
    Column("raw", LargeBinary),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("application", PlainText, nullable=False),
    Column("claim", String(32)),
    Column("changed_by", PlainText),
    Column("original_body", AnyText),
    Column("edited", BigInteger),
    Column("edited_by", PlainText),
    Column("more", BigInteger, nullable=False),
    Column("flood_key", String(32)),
    Column("twin", String(32)),
)
