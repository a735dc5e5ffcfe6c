"""`split`: make a message of each item of a list."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from connectors.action import Batch
from connectors.configured import Configuration, Configured
from connectors.message import Message
from connectors.nodes.expression import Languages
from connectors.nodes.results import DRAFT_ID, Entry, entries_of, is_result
from connectors.outcome import Page, Trash

SPLIT_ID = "split-id"
SPLIT_INDEX = "split-index"
SPLIT_COUNT = "split-count"
SPLIT_OUTER = "split-outer"
SPLIT_HEADERS = (SPLIT_ID, SPLIT_INDEX, SPLIT_COUNT, SPLIT_OUTER)
"""Which list a message comes from, its place there, how many there are, and the same of an outer split as JSON."""


class SplitConfiguration(Configuration):
    """Where the list is (the body itself without `items`), and how many items make a message."""

    items: Languages | None = None
    size: int = Field(1, ge=1)


class Split(Configured[SplitConfiguration], Batch[Any, Any]):
    """Makes a message of each item of a list, or of `size` items.

    Configuration: `{"items": {"jmespath": "order.lines"}, "size": 100}`; with `size` 1 the body is the item, else a
    list. The headers `split-id`, `split-index` and `split-count` tell `merge` what belongs together. Without `items`, a
    result of `comparator` is split into what was created, updated and deleted.
    """

    name = "split"
    configuration_type = SplitConfiguration

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        """Return the items; there is one page."""
        entries = await self._entries(message)
        own = {SPLIT_ID: str(message.headers.get("process-id", "")), SPLIT_COUNT: str(len(entries)), **_outer(message)}
        return Page(
            [
                Message({**message.headers, **own, SPLIT_INDEX: str(index), **headers}, "").with_data(body)
                for index, (body, headers) in enumerate(entries)
            ]
        )

    async def _entries(self, message: Message[Any]) -> Sequence[Entry]:
        if self.configuration.items is None and (is_result(message.data) or DRAFT_ID in message.headers):
            return await self._compared(message)
        return [(body, {}) for body in _chunks(await self._items(message), self.configuration.size)]

    async def _compared(self, message: Message[Any]) -> Sequence[Entry]:
        if self.configuration.size > 1:
            raise Trash(
                "a result of `comparator` is split item by item; set `size` to 1, or `items` to where a list is"
            )
        if not is_result(message.data):
            await self._items(message)
        return await entries_of(message, self.storage.comparing)

    async def _items(self, message: Message[Any]) -> list[Any]:
        chosen = self.configuration.items
        if chosen is not None:
            found = await chosen.expression.of(message)
            if not isinstance(found, list):
                raise chosen.expression.refuse(found, "a list")
            return found
        if not isinstance(message.data, list):
            raise Trash(f"the body is {type(message.data).__name__}, not a list; set `items` to where the list is")
        return message.data


def _chunks(items: list[Any], size: int) -> list[Any]:
    return items if size == 1 else [items[start : start + size] for start in range(0, len(items), size)]


def _outer(message: Message[Any]) -> Mapping[str, str]:
    """Keep what an outer split has set, for the merge that ends it."""
    known = {name: message.headers[name] for name in SPLIT_HEADERS if name in message.headers}
    return {SPLIT_OUTER: json.dumps(known)} if known else {}
