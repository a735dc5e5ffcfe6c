"""Deletes what is not needed any more in SQL, a little with each message."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, select

from worker.storage.tables import (
    compared,
    compared_answers,
    compared_items,
    compared_runs,
    compared_seen,
    draft_items,
    drafts,
)

TOGETHER = 2000
"""More than a message writes, so that what is to be deleted does not grow."""

FAMILIES: tuple[tuple[Table, str, Table, str], ...] = (
    (compared, "number", compared_items, "collection"),
    (compared_runs, "number", compared_seen, "run"),
    (drafts, "id", draft_items, "draft"),
)
"""Each with its column, and where the rows are that belong to it."""


def purge(connection: Connection, now: int) -> None:
    """Delete some rows whose time is up."""
    for parents, key, children, column in FAMILIES:
        _purge_family(connection, parents, parents.c[key], children, children.c[column], now)
    expires = compared_answers.c.expires
    connection.execute(delete(compared_answers).where(among_first(expires, expires <= now, TOGETHER)))


def _purge_family(
    connection: Connection,
    parents: Table,
    key: ColumnElement[object],
    children: Table,
    column: ColumnElement[object],
    now: int,
) -> None:
    """Delete children of one parent; the parent too, when there are no more."""
    query = select(key).where(parents.c.expires <= now).limit(1).with_for_update(skip_locked=True)
    parent = connection.execute(query).scalar_one_or_none()
    if parent is None:
        return
    own = column == parent
    gone = connection.execute(delete(children).where(own, among_first(children.c.id, own, TOGETHER)))
    if gone.rowcount < TOGETHER:
        connection.execute(delete(parents).where(key == parent))


def among_first(column: ColumnElement[Any], own: ColumnElement[bool], count: int) -> ColumnElement[bool]:
    """Say which rows are the first of those that are `own`, by this column, and all that are equal to the last of them.

    It is a range of the column. `IN (SELECT ... LIMIT ...)` is a join, for which PostgreSQL reads the selected rows
    again for each row, as long as it has no statistics of a table that has just grown.
    """
    first = select(column).where(own).order_by(column).limit(count).subquery()
    last = select(first.c[0]).order_by(first.c[0].desc()).limit(1)
    return column <= last.scalar_subquery()
