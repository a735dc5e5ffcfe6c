"""Entries for the trash and the list of user tasks, made of messages."""

from worker.errors import UnreadableMessage
from worker.pipeline.settle import Keep
from worker.protocol import headers as h
from worker.protocol.message import Envelope, decode, now_ms
from worker.protocol.topology import ROUTING_KEY, Node, exchange_of
from worker.protocol.transport import Delivery
from worker.trash.entry import Entry, EntryType, entry_id, unknown_id

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
        topology_name=header("topology-name"),
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


def entry_of_message(keep: Keep) -> Entry:
    visit = keep.visit
    node = visit.node
    own = visit.header(h.PROCESS_ID) or unknown_id()
    return Entry(
        id=entry_id(node.id, own, str(visit.timestamp), visit.header(h.CURSOR), visit.body),
        type=EntryType.USER_TASK if keep.reason is None else EntryType.TRASH,
        node_id=node.id,
        node_name=node.name,
        topology_id=node.topology_id,
        topology_name=node.topology_name,
        correlation_id=visit.header(h.CORRELATION_ID),
        user=visit.header(h.USER) if visit.headers.get(h.USER) is not None else None,
        reason=keep.reason,
        return_exchange=node.exchange,
        return_routing_key=ROUTING_KEY,
        headers=keep.headers,
        body=visit.body,
        raw=None,
        created=now_ms(),
        application=node.application,
    )


def unreadable_entry(node: Node, delivery: Delivery, reason: str) -> Entry:
    return Entry(
        id=entry_id(node.id, str(delivery.timestamp or unknown_id()), delivery.raw),
        type=EntryType.TRASH,
        node_id=node.id,
        node_name=node.name,
        topology_id=node.topology_id,
        topology_name=node.topology_name,
        correlation_id="",
        user=None,
        reason=reason,
        return_exchange=node.exchange,
        return_routing_key=ROUTING_KEY,
        headers={h.RESULT_MESSAGE: reason},
        body=None,
        raw=delivery.raw,
        created=now_ms(),
        application=node.application,
    )
