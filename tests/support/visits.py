"""Nodes and visits for tests of rules, without a broker or a file."""

import json
from typing import Any

from worker.protocol.message import Envelope, Visit, receive
from worker.protocol.topology import Follower, Node, Repeater, Role
from worker.protocol.transport import Delivery

PROCESS_ID = "11111111-1111-4111-8111-111111111111"
RUN = "22222222-2222-4222-8222-222222222222"
TIMESTAMP = 1_795_489_382_982


def node(*followers: str, role: Role = Role.CUSTOM_NODE, **changes: Any) -> Node:
    """Return a node whose followers have these names; their ids are `id-{name}`."""
    receivers = tuple(Follower(f"id-{name}", name) for name in followers)
    values: dict[str, Any] = {
        "id": "n1",
        "name": "action",
        "topology_id": "t1",
        "topology_name": "sample",
        "role": role,
        "application": "",
        "url": "",
        "action_path": "/custom-node/copy/process",
        "timeout_seconds": 30,
        "prefetch": 10,
        "headers": {},
        "followers": receivers,
        "repeater": None,
        "stamp": {
            "node-id": "n1",
            "node-name": "action",
            "topology-id": "t1",
            "worker-followers": json.dumps([{"id": f.id, "name": f.name} for f in receivers]),
        },
    }
    return Node(**values | changes)


def visit(at: Node, body: str = '{"n":1}', **headers: Any) -> Visit:
    """Return a message at a node; `repeat_hops=2` sets the header `repeat-hops`."""
    sent = {"correlation-id": RUN, "process-id": PROCESS_ID, "parent-id": "", "user": "alice"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return receive(at, Envelope(body, sent), Delivery(b"", TIMESTAMP))


def repeater(interval_seconds: int, max_hops: int) -> Repeater:
    """Return a node's own repeat settings."""
    return Repeater(interval_seconds, max_hops)
