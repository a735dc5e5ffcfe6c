"""Messages that came back from a repeat or a limit when the queue of their node was gone."""

from worker import headers as h
from worker.broker import Delivery
from worker.broker.delays import node_of
from worker.envelope import Envelope, decode
from worker.errors import UnreadableMessage
from worker.topology import ROUTING_KEY, exchange_of
from worker.trash.entry import Entry, EntryType, entry_id, unknown_id
from worker.visit import now_ms

REASON = "its node's queue was gone when it came back from a repeat or a limit"


def entry_of(delivery: Delivery) -> Entry:
    """Return the entry of a delivery from `delays.LOST`; approved, it goes to its node, once that is there again."""
    node_id = node_of(delivery.routing_key)
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
        reason=REASON,
        return_exchange=exchange_of(node_id),
        return_routing_key=ROUTING_KEY,
        headers=h.without(headers, h.TRANSIENT) | {h.RESULT_MESSAGE: REASON},
        body=envelope.body if raw is None else None,
        raw=raw,
        created=now_ms(),
        application=header(h.APPLICATION),
    )
