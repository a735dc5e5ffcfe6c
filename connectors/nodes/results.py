"""The results of `comparator`, item by item, and what they are confirmed with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from connectors.comparing import Comparing
from connectors.errors import StorageAway
from connectors.message import Message
from connectors.nodes.compared import item_id

DRAFT_ID = "comparator-draft-id"
ITEM_ID = "comparator-item-id"
ITEM_OP = "comparator-item-op"
DRAFT_HEADERS = (DRAFT_ID, ITEM_ID, ITEM_OP)
"""What a message is confirmed with: the draft, and of a single item its id and what became of it."""

OPERATIONS = ("created", "updated", "deleted")

AWAY_AFTER, AWAY_HOPS = timedelta(seconds=60), 20

Entry = tuple[Any, Mapping[str, str]]
"""A body and the headers that belong to it."""


@contextmanager
def storage_errors() -> Iterator[None]:
    """Let the message wait for the storage as long as the platform's comparator does: raises `StorageAway`."""
    try:
        yield
    except StorageAway as error:
        raise StorageAway(after=AWAY_AFTER, reason=error.reason, max_hops=AWAY_HOPS) from error


def is_result(data: Any) -> bool:
    """Whether this is what `comparator` tells."""
    return isinstance(data, Mapping) and set(data) == set(OPERATIONS) and all(isinstance(data[o], list) for o in data)


async def entries_of(message: Message[Any], comparing: Comparing) -> list[Entry]:
    """Return the items of a result or of a list, each with its headers. Raises `Trash` for an item without an id."""
    id_field = await _id_field(message, comparing)
    if not is_result(message.data):
        return [(item, _item_header(item, id_field, f"item {at}")) for at, item in enumerate(message.data)]
    return [
        (item, {**_item_header(item, id_field, f"{operation}[{at}]"), ITEM_OP: operation})
        for operation in OPERATIONS
        for at, item in enumerate(message.data[operation])
    ]


async def _id_field(message: Message[Any], comparing: Comparing) -> str | None:
    draft = message.headers.get(DRAFT_ID)
    if not draft:
        return None
    with storage_errors():
        return await comparing.id_field(str(draft))


def _item_header(item: Any, id_field: str | None, place: str) -> Mapping[str, str]:
    """Return the header of an item that is to be confirmed; of one that was deleted only the id is left."""
    if id_field is None:
        return {}
    return {ITEM_ID: item if isinstance(item, str) else item_id(item, id_field, place)}
