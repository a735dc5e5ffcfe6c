"""One message at one node."""

import time
from contextvars import ContextVar
from dataclasses import dataclass

from worker import headers as h
from worker.envelope import Envelope
from worker.topology import Node

current_visit: ContextVar["Visit | None"] = ContextVar("current_visit", default=None)
"""The visit that this task works on; log lines take their ids from it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A message as this node received it: what every step of its way starts from."""

    node: Node
    headers: h.Headers
    """The consumed headers with the node's stamp."""
    body: str
    timestamp: int
    """`published-timestamp` of the consumed message, ms."""

    def header(self, name: str) -> str:
        """Return a header as text; empty when it is missing."""
        return h.text(self.headers.get(name))


def receive(node: Node, envelope: Envelope, timestamp: int | None) -> Visit:
    """Make the visit of a consumed message."""
    headers = envelope.headers or {}
    if h.LIMITER_KEY_BASE in headers:
        headers[h.LIMITER_KEY] = headers.pop(h.LIMITER_KEY_BASE)
    headers.update(node.stamp)
    return Visit(node, headers, envelope.body, now_ms() if timestamp is None else timestamp)


def now_ms() -> int:
    """Return the time as `published-timestamp` counts it: milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
