"""`comparator`, `invalidate` and `confirm`: pass on only what has changed since the run before."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from connectors.action import CustomNode
from connectors.clock import clock_of_headers, milliseconds
from connectors.comparing import REMEMBERED, Comparison, Draft, Hold, Result, comparison_key, draft_id, own_key
from connectors.message import Message
from connectors.nodes.compared import CompareConfiguration, CompareRequest, InvalidateRequest, by_id, digest
from connectors.nodes.results import DRAFT_HEADERS, DRAFT_ID, ITEM_ID, storage_errors
from connectors.outcome import Outcome, Page, Repeat, Stop

BUSY_AFTER, BUSY_HOPS = timedelta(seconds=120), 5


class Comparator(CustomNode[CompareRequest, Any]):
    """Passes on which items were created, updated or deleted since the run before, and remembers them.

    The body says all: `{"items": [...], "configuration": {"idField": "id", "masterKey": "products"}}`. The result is
    `{"created": [...], "updated": [...], "deleted": [ids]}`.
    """

    name = "comparator"

    async def process(self, message: Message[CompareRequest]) -> Message[Any] | Outcome:
        """Compare the items. Raises `Repeat` while another run holds the master key, `Stop` if nothing has changed."""
        wanted, carrier = message.data.configuration, message.without_headers(*DRAFT_HEADERS)
        items = by_id(message.data.items, wanted.id_field)
        if wanted.skip_comparison:
            results: Sequence[Result] | None = [Result(None, updated=list(items))]
        else:
            excluded = wanted.excluded_fields or ()
            digests = {own: digest(item, excluded) for own, item in items.items()}
            with storage_errors():
                results = await self.storage.comparing.compare(_comparison(message), digests)
        if results is None:
            raise Repeat(BUSY_AFTER, f"another run holds the master key {wanted.master_key!r}", BUSY_HOPS)
        if wanted.stop_on_empty_array and all(result.is_empty for result in results):
            raise Stop("nothing was created, updated or deleted")
        messages = [_told(carrier, result, items, wanted) for result in results]
        return messages[0] if len(messages) == 1 else Page(messages, message=carrier)


class Invalidate(CustomNode[InvalidateRequest, Any]):
    """Forgets what `comparator` remembers of a master key, or of one item of it: `{"masterKey": "products"}`."""

    name = "invalidate"

    async def process(self, message: Message[InvalidateRequest]) -> Message[Any]:
        """Forget; the body becomes `{}`."""
        item = message.data.external_id
        with storage_errors():
            await self.storage.comparing.invalidate(message.data.master_key, None if item in (None, "") else str(item))
        return message.with_data({})


class Confirm(CustomNode[Any, Any]):
    """Says that the result of `comparator`, or an item of it, has arrived: from now on it counts.

    Put it behind the node that delivers. A message without the headers of a draft passes as it is.
    """

    name = "confirm"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Confirm, and take the headers off."""
        draft, item = message.headers.get(DRAFT_ID), message.headers.get(ITEM_ID)
        if draft:
            with storage_errors():
                await self.storage.comparing.confirm(str(draft), None if item in (None, "") else str(item))
        return message.without_headers(*DRAFT_HEADERS)


def _comparison(message: Message[CompareRequest]) -> Comparison:
    """Return what the message asks. The same message with the same body is the same when it comes again."""
    wanted = message.data.configuration
    master, run, process = wanted.master_key, _header(message, "correlation-id"), _header(message, "process-id")
    body = hashlib.sha256(message.body.encode()).hexdigest()
    own = comparison_key(master, _header(message, "node-id"), process, body) if process else own_key()
    draft = Draft(draft_id(own), wanted.id_field, wanted.confirmable) if wanted.require_confirmation else None
    return Comparison(
        comparison_key(master),
        comparison_key(master, run) if run else own_key(),
        own,
        seeks_deleted=bool(wanted.deleted) and not _is_forgotten(message),
        hold=_hold(wanted),
        is_last=bool(wanted.is_last),
        total=wanted.total_count or None,
        kept=wanted.kept,
        draft=draft,
    )


def _is_forgotten(message: Message[CompareRequest]) -> bool:
    """Whether the run began so long ago that nobody knows what its messages have had."""
    started = _header(message, "process-started")
    return started.isdecimal() and int(started) + milliseconds(REMEMBERED) < clock_of_headers.get()()


def _hold(wanted: CompareConfiguration) -> Hold:
    if not wanted.lock:
        return Hold.IGNORES
    return Hold.TAKES if wanted.has_end else Hold.RESPECTS


def _told(
    carrier: Message[Any], result: Result, items: Mapping[str, Mapping[str, Any]], wanted: CompareConfiguration
) -> Message[Any]:
    """Return the message with one result."""
    created, updated = ([items[own] for own in ids] for ids in (result.created, result.updated))
    told: Any = {"created": created, "updated": updated, "deleted": list(result.deleted)}
    message = carrier.with_data([*created, *updated] if wanted.pass_as_list_of_existing_items else told)
    if result.draft is None or result.is_empty:
        return message
    return message.with_headers({DRAFT_ID: result.draft.id})


def _header(message: Message[Any], name: str) -> str:
    value = message.headers.get(name)
    return "" if value is None else str(value)
