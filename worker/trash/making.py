"""Entries for the trash and the list of user tasks, made of messages."""

from collections.abc import Mapping
from typing import Any

from worker.errors import UnreadableMessage
from worker.protocol import headers as h
from worker.protocol.message import Envelope, Visit, decode, encode, now_ms
from worker.protocol.topology import ROUTING_KEY, Node, exchange_of
from worker.protocol.transport import Delivery
from worker.trash.entry import Entry, EntryType, entry_id, twin_of, unknown_id

QUEUE_GONE = "its node's queue was gone when it came back from a repeat or a limit"


def lost_entry(delivery: Delivery, node_id: str) -> Entry:
    """Return the entry of a message whose node's queue was gone; approved, it goes there once the node is back."""
    try:
        envelope, raw = decode(delivery.raw, len(delivery.raw)), None
    except UnreadableMessage:
        envelope, raw = Envelope("", {}), delivery.raw
    headers = envelope.headers or {}

    def header(name: str) -> str:
        return h.text(headers.get(name))

    own = header(h.PROCESS_ID) if raw is None else str(delivery.timestamp or "")
    return Entry(
        id=entry_id(node_id, own or unknown_id(), str(delivery.timestamp), header(h.CURSOR), delivery.raw),
        type=EntryType.TRASH,
        node_id=node_id,
        node_name=header(h.NODE_NAME) or node_id,
        topology_id=header(h.TOPOLOGY_ID),
        topology_name=header(h.TOPOLOGY_NAME),
        correlation_id=header(h.CORRELATION_ID),
        user=header(h.USER) if headers.get(h.USER) is not None else None,
        reason=QUEUE_GONE,
        return_exchange=exchange_of(node_id),
        return_routing_key=ROUTING_KEY,
        headers=h.without(headers, h.TRANSIENT) | {h.RESULT_MESSAGE: QUEUE_GONE},
        body=envelope.body if raw is None else None,
        raw=raw,
        created=now_ms(),
        application=header(h.APPLICATION),
    )


def message_entry(visit: Visit, headers: Mapping[str, Any], reason: str | None) -> Entry:
    """Return the entry of a message with these headers: a user task where there is no reason for the trash."""
    own = visit.headers.text(h.PROCESS_ID) or unknown_id()
    kind = EntryType.USER_TASK if reason is None else EntryType.TRASH
    return Entry(
        id=entry_id(visit.node.id, own, str(visit.timestamp), visit.headers.text(h.CURSOR), visit.body),
        type=kind,
        correlation_id=visit.headers.text(h.CORRELATION_ID),
        user=visit.headers.text(h.USER) if visit.headers.get(h.USER) is not None else None,
        reason=reason,
        headers=headers,
        body=visit.body,
        raw=None,
        twin=_twin(visit, kind),
        **_place(visit.node),
    )


def _twin(visit: Visit, kind: EntryType) -> str | None:
    """Return what another copy of the message has as well; None for one that says nothing of itself."""
    if not visit.headers.text(h.PROCESS_ID):
        return None
    return twin_of(visit.node.id, kind.value, encode(h.without(visit.headers, h.TRANSIENT), visit.body))


def unreadable_entry(node: Node, delivery: Delivery, reason: str) -> Entry:
    """Return the entry of a delivery that is no message: its raw bytes."""
    return Entry(
        id=entry_id(node.id, str(delivery.timestamp or unknown_id()), delivery.raw),
        type=EntryType.TRASH,
        correlation_id="",
        user=None,
        reason=reason,
        headers={h.RESULT_MESSAGE: reason},
        body=None,
        raw=delivery.raw,
        **_place(node),
    )


def _place(node: Node) -> dict[str, Any]:
    """Return where an entry comes from, and where it goes when it is approved."""
    return {
        "node_id": node.id,
        "node_name": node.name,
        "topology_id": node.topology_id,
        "topology_name": node.topology_name,
        "application": node.application,
        "return_exchange": node.exchange,
        "return_routing_key": ROUTING_KEY,
        "created": now_ms(),
    }
