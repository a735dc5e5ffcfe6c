"""The collections in SQL: a digest for each id. Ids are UTF-8, since PostgreSQL takes not every text.

Whoever reads or changes a collection opens it first, which locks it until the end of the transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, select, update

from connectors.clock import milliseconds
from connectors.comparing import HELD, Change, Comparison, Hold, change
from worker.storage.comparing.looking import find_each
from worker.storage.database import insert_into
from worker.storage.tables import compared, compared_items, draft_items, drafts


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection that is locked."""

    number: int
    runs: int
    """How many runs with an end there have been; what is written now is newer than the begin of each."""
    held_by: str | None
    held_until: int | None

    @classmethod
    def of(cls, row: Row[tuple[object, ...]]) -> Self:
        """Return what a row says."""
        return cls(row.number, row.runs, row.held_by, row.held_until)


def open_collection(connection: Connection, master: str, now: int) -> Collection:
    """Return the collection of a master key; a new one, if there is none or its time is up."""
    old = (compared.c.master == master, compared.c.expires <= now)  # one without end may have been made meanwhile
    while (found := _lasting(connection, compared.c.master == master, now)) is None:
        connection.execute(update(compared).where(*old).values(master=None, expires=0))
        connection.execute(insert_into(connection, compared).values(master=master, runs=0).on_conflict_do_nothing())
    return found


def find_collection(connection: Connection, number: int, now: int) -> Collection | None:
    """Return a collection, unless it has been dropped or its time is up."""
    return _lasting(connection, (compared.c.number == number) & compared.c.master.is_not(None), now)


def _lasting(connection: Connection, which: ColumnElement[bool], now: int) -> Collection | None:
    found = connection.execute(select(compared).where(which).with_for_update()).one_or_none()
    if found is None or (found.expires is not None and found.expires <= now):
        return None
    return Collection.of(found)


def is_held(collection: Collection, comparison: Comparison, now: int) -> bool:
    """Whether a message has to wait for another run."""
    if comparison.hold is Hold.IGNORES or collection.held_by in (None, comparison.run):
        return False
    return (collection.held_until or 0) > now


def hold(connection: Connection, collection: Collection, run: str, now: int) -> None:
    """Let a run hold the collection."""
    holding = {"held_by": run, "held_until": now + milliseconds(HELD)}
    connection.execute(update(compared).where(compared.c.number == collection.number).values(holding))


def let_go(connection: Connection, master: str, run: str) -> None:
    """Let the collection go, if the run holds it."""
    own = (compared.c.master == master, compared.c.held_by == run)
    connection.execute(update(compared).where(*own).values(held_by=None, held_until=None))


def changes(connection: Connection, collection: Collection, digests: Mapping[bytes, bytes]) -> str:
    """Return a `Change` for each item, "" if all are the same."""
    own = select(compared_items.c.id, compared_items.c.digest).where(compared_items.c.collection == collection.number)
    rows = find_each(connection, own, compared_items.c.id, digests)
    known = {bytes(row.id): bytes(row.digest) for row in rows}
    found = "".join(change(known.get(item), digest) for item, digest in digests.items())
    return found.strip(Change.SAME) and found


def write(
    connection: Connection, collection: Collection, digests: Mapping[bytes, bytes | None], kept_ms: int | None, now: int
) -> None:
    """Keep digests, remove items that have none, and prolong the collection if it is not kept for ever."""
    if not digests:
        return
    own = {"collection": collection.number, "written": collection.runs}
    rows = [{**own, "id": item, "digest": digest} for item, digest in digests.items() if digest is not None]
    if rows:
        put = insert_into(connection, compared_items)
        content = {"digest": put.excluded.digest, "written": put.excluded.written}
        connection.execute(put.on_conflict_do_update(index_elements=["collection", "id"], set_=content), rows)
    _remove(connection, collection.number, [item for item, digest in digests.items() if digest is None])
    if kept_ms is not None:
        own_row = compared.c.number == collection.number
        connection.execute(update(compared).where(own_row).values(expires=now + kept_ms))


def forget(connection: Connection, master: str, item: bytes | None) -> None:
    """Drop a collection with its drafts, or forget one item in it and in them."""
    mine = compared.c.master == master
    found = connection.execute(select(compared.c.number).where(mine).with_for_update()).scalar_one_or_none()
    if found is None:
        return
    if item is None:
        connection.execute(update(compared).where(mine).values(master=None, expires=0))
        return
    _remove(connection, found, [item])
    own = select(drafts.c.id).where(drafts.c.collection == found)
    connection.execute(delete(draft_items).where(draft_items.c.draft.in_(own), draft_items.c.id == item))


def _remove(connection: Connection, number: int, items: Sequence[bytes]) -> None:
    if items:
        own = (compared_items.c.collection == number, compared_items.c.id == bindparam("item"))
        connection.execute(delete(compared_items).where(*own), [{"item": item} for item in items])
