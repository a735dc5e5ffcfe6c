"""The message: JSON on the wire, `{"headers": {...}, "body": "..."}`, and one visit of it at a node.

No pydantic model on the hot path.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import msgspec

from worker.errors import UnreadableMessage
from worker.protocol import headers as h
from worker.protocol.topology import Node


class Envelope(msgspec.Struct):
    """What the body of a delivery holds."""

    body: str
    headers: dict[str, Any] | None = None


class Report(msgspec.Struct):
    """What the counter is told in the body of its message."""

    success: bool
    following: int
    body: str = ""
    headers: None = None


_decoder = msgspec.json.Decoder(Envelope)
_encoder = msgspec.json.Encoder()


def decode(raw: bytes, max_bytes: int) -> Envelope:
    """Read a delivery. Raises `UnreadableMessage` that says what is wrong and where."""
    if len(raw) > max_bytes:
        raise UnreadableMessage(f"message of {len(raw)} bytes is larger than WORKER_MAX_MESSAGE_BYTES={max_bytes}")
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableMessage(f"not a process message: {error}") from error


def encode(headers: dict[str, Any], body: str) -> bytes:
    """Return the bytes of a message."""
    return _encoder.encode(Envelope(body, headers))


def encode_report(headers: dict[str, Any], *, success: bool, following: int) -> bytes:
    """Return the bytes of a message for the counter."""
    return encode(headers, _encoder.encode(Report(success, following)).decode())


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
