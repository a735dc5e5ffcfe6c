"""The first message of a run."""

from uuid import uuid4

from connectors.topologies import Start
from worker.protocol import headers as h
from worker.protocol.identity import child_id
from worker.protocol.message import now_ms
from worker.protocol.topology import Node


def start_headers(node: Node, user: str | None) -> h.Headers:
    """Return the headers of a new run's first message."""
    headers: h.Headers = {
        h.CORRELATION_ID: str(uuid4()),
        h.PROCESS_ID: str(uuid4()),
        h.PARENT_ID: "",
        h.TOPOLOGY_ID: node.topology_id,
        "topology-name": node.topology_name,
        "content-type": "application/json",
        "process-started": now_ms(),
    }
    if user is not None:
        headers[h.USER] = user
    return headers


PREVIOUS_CORRELATION_ID = "previous-correlation-id"


def started_headers(start: Start, node: Node) -> h.Headers:
    """Return the headers of a new run. Its ids are derived, so that a replay has the same."""
    by = start.by.headers
    parent = h.text(by.get(h.PROCESS_ID))
    run = child_id(parent, h.text(by.get(h.NODE_ID)), node.id, start.body, 0)
    return {
        h.CORRELATION_ID: run,
        h.PROCESS_ID: child_id(run, node.topology_id, node.id, "", 0),
        h.PARENT_ID: "",
        PREVIOUS_CORRELATION_ID: h.text(by.get(h.CORRELATION_ID)),
        h.USER: start.user,
        "topology-name": node.topology_name,
        "process-started": now_ms(),
        "sequence-id": "1",
    } | ({h.SOURCE: by[h.SOURCE]} if h.SOURCE in by else {})
