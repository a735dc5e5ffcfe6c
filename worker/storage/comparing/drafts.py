"""Drafts in SQL: what a message was told, until somebody confirms that it has arrived."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, select

from connectors.clock import milliseconds
from connectors.comparing import SLICE, Draft
from worker.storage.comparing.collections import Collection, find_collection, write
from worker.storage.database import insert_into
from worker.storage.tables import draft_items, drafts


def write_draft(
    connection: Connection,
    collection: Collection,
    draft: Draft,
    digests: Mapping[bytes, bytes | None],
    kept_ms: int | None,
    now: int,
) -> None:
    """Note what items are to become; those without a digest are to be removed."""
    if not digests:
        return
    own = {"collection": collection.number, "id_field": draft.id_field, "kept_ms": kept_ms}
    content = {**own, "expires": now + milliseconds(draft.kept)}
    put = insert_into(connection, drafts).values(id=draft.id, **content)
    connection.execute(put.on_conflict_do_update(index_elements=["id"], set_=content))
    rows = [{"draft": draft.id, "id": item, "digest": digest} for item, digest in digests.items()]
    put = insert_into(connection, draft_items)
    put = put.on_conflict_do_update(index_elements=["draft", "id"], set_={"digest": put.excluded.digest})
    connection.execute(put, rows)


def id_field(connection: Connection, draft: str, now: int) -> str | None:
    """Return where the items of a draft have their id; None when the draft is gone."""
    query = select(drafts.c.id_field).where(drafts.c.id == draft, drafts.c.expires > now)
    return connection.execute(query).scalar_one_or_none()


def confirm_item(connection: Connection, draft: str, item: bytes, now: int) -> None:
    """Keep one item as the draft has it."""
    _confirm(connection, draft, draft_items.c.id == item, now)


def confirm_after(connection: Connection, draft: str, after: bytes | None, now: int) -> bytes | None:
    """Keep some items as the draft has them, those after an id; return the last one, if there may be more."""
    rest = draft_items.c.draft == draft if after is None else draft_items.c.id > after
    items = _confirm(connection, draft, rest, now)
    return items[-1] if len(items) == SLICE else None


def _confirm(connection: Connection, draft: str, which: ColumnElement[bool], now: int) -> list[bytes]:
    found = connection.execute(select(drafts).where(drafts.c.id == draft, drafts.c.expires > now)).one_or_none()
    collection = None if found is None else find_collection(connection, found.collection, now)
    if found is None or collection is None:
        return []
    query = select(draft_items.c.id, draft_items.c.digest).where(draft_items.c.draft == draft, which)
    rows = connection.execute(query.order_by(draft_items.c.id).limit(SLICE)).all()
    digests = {bytes(row.id): None if row.digest is None else bytes(row.digest) for row in rows}
    write(connection, collection, digests, found.kept_ms, now)
    return list(digests)
