"""Looking up many rows by their ids."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, LargeBinary, Row, Select, bindparam, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY


def find_each(
    connection: Connection, query: Select[Any], column: ColumnElement[bytes], ids: Iterable[bytes]
) -> Iterable[Row[Any]]:
    """Return the rows of `query` that have one of these ids in a column; query and id say which row it is.

    PostgreSQL looks each id up in the index. With `IN`, as long as it has no statistics of a table that has just grown,
    it reads all rows of `query` and compares each with each id.
    """
    if connection.dialect.name != "postgresql":
        return connection.execute(query.where(column.in_(list(ids))))
    wanted = (
        func.unnest(bindparam("ids", list(ids), ARRAY(LargeBinary))).table_valued("id", name="wanted").render_derived()
    )
    found = query.where(column == wanted.c.id).limit(1).lateral()
    return connection.execute(select(found).select_from(wanted).join(found, true()))
