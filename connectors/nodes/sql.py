"""`sql-query` and `sql-execute`: read from and write to a database, without code.

Databases are reached through SQLAlchemy: `postgresql://`, `sqlite://`, and with its driver installed any other that
has an asyncio dialect. The address comes from an environment variable, so that no password stands in the topology.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, ValidationInfo
from sqlalchemy import ColumnElement, Select, bindparam, column, literal_column, select, text
from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from connectors.action import Batch, Connector
from connectors.clients import Opened, address_in, known_address
from connectors.configured import Configuration, Configured
from connectors.message import Message
from connectors.nodes.expression import Languages
from connectors.outcome import Page, Repeat, Trash

AGAIN_AFTER = timedelta(seconds=60)
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite+aiosqlite"}
MOST_ROWS = 10_000
"""Rows that `sql-execute` returns in one message."""


def _known_variable(name: str, info: ValidationInfo) -> str:
    try:
        url = make_url(known_address(name, info))
        create_async_engine(url.set(drivername=DRIVERS.get(url.drivername, url.drivername)))
    except (ArgumentError, SQLAlchemyError, ImportError) as error:
        raise ValueError(f"{name} holds no address of a database: {error}") from None
    return name


class SqlConfiguration(Configuration):
    """Where the database is, what is asked, and the values of its `:names`."""

    url_variable: Annotated[str, AfterValidator(_known_variable)]
    """The environment variable that holds the address."""
    statement: str = Field(min_length=1)
    parameters: Mapping[str, Languages] = Field(default_factory=dict)


class QueryConfiguration(SqlConfiguration):
    """As above, and how the rows are paged."""

    key: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """A column of the result that is unique, such as the primary key: rows come in its order, page after page."""
    page_size: int = Field(500, ge=1, le=10_000)
    incremental: bool = False
    """Whether the next run begins after the last key of the runs before."""


class SqlQuery(Configured[QueryConfiguration], Batch[Any, Any]):
    """Makes a message of each row of a query; the rows are read page by page, in the order of `key`.

    Configuration: `{"url_variable": "ERP_URL", "statement": "SELECT id, total FROM orders WHERE shop = :shop", "key":
    "id", "parameters": {"shop": {"jmespath": "shop"}}, "page_size": 500, "incremental": true}`.
    """

    name = "sql-query"
    configuration_type = QueryConfiguration

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        """Return one page of rows."""
        wanted = self.configuration
        state = self.storage.state(message) if wanted.incremental else None
        after = cursor or (await state.load() if state else None)
        rows = await self._rows(message, after)
        if not rows:
            return Page([])
        newest = _cursor(rows[-1][wanted.key])
        return Page(
            rows,
            next_cursor=newest if len(rows) == wanted.page_size else None,
            confirmed=state.saving(newest) if state else None,
        )

    async def _rows(self, message: Message[Any], after: str | None) -> Sequence[Mapping[str, Any]]:
        wanted = self.configuration
        given = text(wanted.statement.rstrip("; \n")).columns(column(wanted.key)).subquery("page")
        key: ColumnElement[Any] = given.c[wanted.key]
        query: Select[Any] = select(literal_column("page.*")).select_from(given).order_by(key).limit(wanted.page_size)
        values = await _values(wanted.parameters, message)
        if after:
            query = query.where(key > bindparam("page_after"))
            values["page_after"] = _key(after)
        rows = await run(self.clients.get("sql", wanted.url_variable, open_engine), query, values)
        if rows and wanted.key not in rows[0]:
            raise Trash(f"the result has no column {wanted.key!r}: {', '.join(rows[0])}")
        return rows


class SqlExecute(Configured[SqlConfiguration], Connector[Any, Any]):
    """Runs one statement in a transaction of its own; the body becomes `{"rows": [...], "count": n}`.

    Configuration: `{"url_variable": "ERP_URL", "statement": "UPDATE orders SET paid = true WHERE id = :id",
    "parameters": {"id": {"jmespath": "order.id"}}}`. The statement may run twice when the worker dies: write it so
    that this does no harm (`ON CONFLICT`, conditions). For results of more than 10,000 rows take `sql-query`.
    """

    name = "sql-execute"
    configuration_type = SqlConfiguration

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message with rows and their count; without rows, the count of those that were changed."""
        wanted = self.configuration
        engine = self.clients.get("sql", wanted.url_variable, open_engine)
        rows, count = await execute(engine, text(wanted.statement), await _values(wanted.parameters, message))
        return message.with_data({"rows": rows, "count": count})


def open_engine(variable: str) -> Opened:
    """Open the database whose address stands in an environment variable."""
    url = make_url(address_in(variable))
    engine = create_async_engine(
        url.set(drivername=DRIVERS.get(url.drivername, url.drivername)), pool_pre_ping=True, hide_parameters=True
    )
    return engine, engine.dispose


async def run(engine: AsyncEngine, query: Any, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a query, as JSON values by column."""
    return (await execute(engine, query, values))[0]


async def execute(engine: AsyncEngine, statement: Any, values: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """Run a statement in a transaction; return its rows, and how many there are or were changed.

    Raises `Repeat` when the database is away, and `Trash` for what it refuses.
    """
    try:
        async with engine.begin() as connection:
            result = await connection.execute(statement, values)
            if not result.returns_rows:
                return [], result.rowcount
            _check_names(list(result.keys()))
            found = result.mappings().fetchmany(MOST_ROWS + 1)
    except DBAPIError as error:
        reason = f"{type(error.orig).__name__}: {str(error.orig).strip()}"
        if error.connection_invalidated or type(error.orig).__name__ in {"OperationalError", "InterfaceError"}:
            raise Repeat(AGAIN_AFTER, reason, max_hops=100) from error
        raise Trash(reason) from error
    except (OSError, TimeoutError) as error:
        raise Repeat(AGAIN_AFTER, f"{type(error).__name__}: {error}", max_hops=100) from error
    except SQLAlchemyError as error:
        raise Trash(f"{type(error).__name__}: {error}") from error
    if len(found) > MOST_ROWS:
        raise Trash(f"the statement returns more than {MOST_ROWS} rows; take the node sql-query")
    return [{name: _json(value) for name, value in row.items()} for row in found], len(found)


def _check_names(names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Trash(f"two columns of the result have the name {twice!r}, and only one would be kept: use AS")


async def _values(parameters: Mapping[str, Languages], message: Message[Any]) -> dict[str, Any]:
    values = {name: await entry.expression.of(message) for name, entry in parameters.items()}
    for name, value in values.items():
        if isinstance(value, dict | list):
            values[name] = json.dumps(value)
    return values


def _json(value: Any) -> Any:
    """Return what JSON can hold: exact numbers as text, bytes as base64."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return value


_READ: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "Decimal": Decimal,
    "str": str,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "UUID": UUID,
}
"""The types that a key may have, and how each is read from a cursor."""


def _cursor(value: Any) -> str:
    """Write a key with its type: databases do not compare text with numbers."""
    if type(value).__name__ not in _READ:
        raise Trash(f"the key is {type(value).__name__}; take a column of numbers, text, dates or UUIDs")
    shown = value.isoformat() if isinstance(value, date) else str(value)
    return json.dumps([type(value).__name__, shown])


def _key(cursor: str) -> Any:
    kind, shown = json.loads(cursor)
    return _READ[kind](shown)
