"""The first message of a run."""

from uuid import uuid4

from worker import headers as h
from worker.topology import Node
from worker.visit import now_ms


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
