"""Runs in SQL: what a run has seen of a collection, so that its end can tell what is missing."""

from collections.abc import Collection as Ids
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from connectors.clock import milliseconds
from connectors.comparing import REMEMBERED, SLICE, Comparison
from worker.storage.comparing.answers import NO, YES, Question, answer
from worker.storage.comparing.collections import Collection
from worker.storage.comparing.looking import find_each
from worker.storage.comparing.purge import among_first
from worker.storage.tables import compared, compared_items, compared_runs, compared_seen

FORGOTTEN_TOGETHER = 10_000


def note_seen(connection: Connection, collection: Collection, run: str, items: Ids[bytes], now: int) -> bool:
    """Note ids that a run has seen, unless it is over; return whether it goes on."""
    found = _opened(connection, collection, run, now)
    if found.is_over:
        return False
    own = select(compared_seen.c.id).where(compared_seen.c.run == found.number)
    known = {bytes(row.id) for row in find_each(connection, own, compared_seen.c.id, items)}
    fresh = [{"run": found.number, "id": item} for item in items if item not in known]
    if fresh:
        connection.execute(insert(compared_seen), fresh)
    noted = {"seen": found.seen + len(fresh), "expires": now + milliseconds(REMEMBERED)}
    connection.execute(update(compared_runs).where(compared_runs.c.number == found.number).values(noted))
    return True


def _opened(connection: Connection, collection: Collection, run: str, now: int) -> Row[tuple[object, ...]]:
    """Return the run; a new one if it has not begun, or began with a collection that has been dropped."""
    own = compared_runs.c.run == run
    found = connection.execute(select(compared_runs).where(own)).one_or_none()
    if found is not None and found.collection == collection.number and found.expires > now:
        return found
    connection.execute(update(compared_runs).where(own).values(run=None, expires=0))
    mine = compared.c.number == collection.number
    connection.execute(update(compared).where(mine).values(runs=compared.c.runs + 1))
    row = {"run": run, "collection": collection.number, "began": collection.runs + 1, "seen": 0, "is_over": False}
    connection.execute(insert(compared_runs).values(**row, expires=now + milliseconds(REMEMBERED)))
    return connection.execute(select(compared_runs).where(own)).one()


def ends(connection: Connection, comparison: Comparison, now: int) -> bool:
    """Whether the message ends its run: the first for which the run is complete, again each time that it comes."""
    own = compared_runs.c.run == comparison.run
    run = connection.execute(select(compared_runs).where(own)).one()

    def find() -> str:
        is_complete = comparison.is_last if comparison.total is None else run.seen == comparison.total
        return YES if is_complete and run.ended_by is None else NO

    if answer(connection, comparison.message, Question.ENDS, 0, find, now) == NO:
        return False
    connection.execute(
        update(compared_runs).where(own, compared_runs.c.ended_by.is_(None)).values(ended_by=comparison.message)
    )
    return True


def missing(connection: Connection, collection: Collection, run: str, after: bytes) -> Sequence[bytes]:
    """Return some ids, in their order, that the collection had when the run began and that it has not seen."""
    own: ColumnElement[bool] = (compared_runs.c.run == run) & (compared_runs.c.collection == collection.number)
    found = connection.execute(select(compared_runs).where(own)).one_or_none()
    if found is None or found.is_over:
        return []
    mine = (compared_seen.c.run == found.number, compared_seen.c.id == compared_items.c.id)
    seen = select(compared_seen.c.run).where(*mine).limit(1).scalar_subquery()  # EXISTS may become a join of all rows
    older = (compared_items.c.collection == collection.number, compared_items.c.written < found.began)
    query = select(compared_items.c.id).where(*older, compared_items.c.id > after, seen.is_(None))
    rows = connection.execute(query.order_by(compared_items.c.id).limit(SLICE)).scalars()
    return [bytes(item) for item in rows]


def is_over(connection: Connection, run: str) -> bool:
    """Note that a run is over and forget some of what it has seen; return whether that was all."""
    own = compared_runs.c.run == run
    connection.execute(update(compared_runs).where(own).values(is_over=True))
    number = connection.execute(select(compared_runs.c.number).where(own)).scalar_one_or_none()
    seen = compared_seen.c.run == number
    gone = delete(compared_seen).where(seen, among_first(compared_seen.c.id, seen, FORGOTTEN_TOGETHER))
    return connection.execute(gone).rowcount < FORGOTTEN_TOGETHER
