"""Deletes what is not needed any more in SQL, a little with each message."""

from sqlalchemy import ColumnElement, Connection, Table, delete, select, tuple_

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
    columns = [compared_answers.c[name] for name in ("message", "kind", "position")]
    old = select(*columns).where(compared_answers.c.expires <= now).limit(TOGETHER)
    connection.execute(delete(compared_answers).where(tuple_(*columns).in_(old)))


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
    some = select(children.c.id).where(column == parent).limit(TOGETHER)
    gone = connection.execute(delete(children).where(column == parent, children.c.id.in_(some)))
    if gone.rowcount < TOGETHER:
        connection.execute(delete(parents).where(key == parent))
