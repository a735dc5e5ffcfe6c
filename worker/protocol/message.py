"""The message: JSON on the wire, `{"headers": {...}, "body": "..."}`, and one visit of it at a node.

No pydantic model on the hot path.
"""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec

from worker.errors import UnreadableMessage
from worker.protocol import headers as h
from worker.protocol.topology import Node
from worker.protocol.transport import Delivery

DEEPEST_HEADERS = 64
"""Levels of objects and arrays in the value of a header. A limit of our own: those of the interpreter and of MongoDB
differ from machine to machine, and what is sent on has to be readable everywhere."""

LARGEST_PUBLISHED = 16 * 1024 * 1024
"""Bytes of a message; what RabbitMQ 4 takes by default."""

_FLAT = frozenset({str, int, bool, type(None)})


class Envelope(msgspec.Struct):
    """What the body of a delivery holds."""

    body: str
    headers: dict[str, Any] | None = None


class _Flat(Envelope):
    """An envelope whose headers hold no objects and arrays, as those of nearly all messages."""

    headers: dict[str, str | int | float | bool | None] | None = None


class _Outgoing(msgspec.Struct):
    """An envelope to be written."""

    body: str
    headers: Mapping[str, Any]


class Report(msgspec.Struct):
    """What the counter is told in the body of its message."""

    success: bool
    following: int
    body: str = ""
    headers: None = None


_read_flat = msgspec.json.Decoder(_Flat).decode
_read = msgspec.json.Decoder(Envelope).decode
_encoder = msgspec.json.Encoder()


def decode(raw: bytes, max_bytes: int) -> Envelope:
    """Read a delivery. Raises `UnreadableMessage` that says what is wrong and where."""
    if len(raw) > max_bytes:
        raise UnreadableMessage(f"message of {len(raw)} bytes is larger than WORKER_MAX_MESSAGE_BYTES={max_bytes}")
    try:
        return _read_flat(raw)
    except (ValueError, RecursionError):
        return _decode_deep(raw)


def _decode_deep(raw: bytes) -> Envelope:
    try:
        envelope = _read(raw)
        _check_values(envelope.headers or {})
    except RecursionError:
        raise UnreadableMessage(f"not a process message: {_TOO_DEEP}") from None
    except ValueError as error:
        raise UnreadableMessage(f"not a process message: {error}") from error
    return envelope


def encode(headers: Mapping[str, Any], body: str) -> bytes:
    """Return the bytes of a message. Raises `ValueError` or `TypeError` for one that not every worker could read."""
    if not isinstance(body, str):
        raise TypeError(f"the body of a message must be text, not {type(body).__name__}")
    if not _FLAT.issuperset(map(type, headers.values())):
        _check_values(headers)
    return _encoder.encode(_Outgoing(body, headers))


_TOO_DEEP = f"nested deeper than {DEEPEST_HEADERS} levels"


def _check_values(headers: Mapping[str, Any]) -> None:
    for name, value in headers.items():
        _check(name, value, DEEPEST_HEADERS)


def _check(name: str, value: object, levels: int) -> None:
    """Raise `ValueError` for a value that is too deep, and for a number that JSON cannot write."""
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"header [{name}] holds {value}, which is not a number in JSON")
    if isinstance(value, dict | list | tuple | set | frozenset):
        if not levels:
            raise ValueError(f"header [{name}] is {_TOO_DEEP}")
        for inner in value.values() if isinstance(value, dict) else value:
            _check(name, inner, levels - 1)


class TooLarge(ValueError):
    """The message cannot be published."""


def check_size(body: bytes, largest: int) -> None:
    """Raise `TooLarge` for a message that whoever receives it would not read."""
    if len(body) > largest:
        raise TooLarge(
            f"a message of {len(body)} bytes is larger than WORKER_MAX_MESSAGE_BYTES={largest}: whoever receives it "
            "would not read it. Send less, or where it is stored; or raise the setting in all workers"
        )


def encode_report(headers: Mapping[str, Any], *, success: bool, following: int) -> bytes:
    """Return the bytes of a message for the counter."""
    return _encoder.encode(_Outgoing(_encoder.encode(Report(success, following)).decode(), headers))


current_visit: ContextVar["Visit | None"] = ContextVar("current_visit", default=None)
"""The visit that this task works on. Log lines take their ids from it, as whoever writes one, a library among them, has
no visit to pass."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A message as this node received it: what every step of its way starts from."""

    node: Node
    headers: h.Received
    """The consumed headers with the node's stamp. Neither they change nor the objects and lists in them."""
    body: str
    timestamp: int
    """`published-timestamp` of the consumed message, ms; the time of its arrival where it had none."""
    delivery: Delivery
    """How it came."""

    @property
    def sdk(self) -> str:
        """The service whose installs the call uses: what the node says, else what the message brings."""
        return self.node.headers.get(h.SDK) or self.headers.text(h.SDK)

    def having(self, headers: Mapping[str, Any]) -> "Visit":
        """Return the message with these headers in place of its own."""
        return Visit(self.node, h.received(headers), self.body, self.timestamp, self.delivery)

    def with_step(self, step: str) -> "Visit":
        """Return the message with this step."""
        return Visit(self.node, h.Received(self.headers, **{h.STEP: step}), self.body, self.timestamp, self.delivery)

    def back(self, headers: Mapping[str, Any], body: str) -> "Visit":
        """Return the message as it comes back to its node with these headers and this body."""
        return Visit(self.node, _stamped(self.node, h.received(headers)), body, self.timestamp, self.delivery)

    def from_delivery(self, delivery: Delivery) -> "Visit":
        """Return the message as it came by another delivery."""
        return Visit(self.node, self.headers, self.body, self.timestamp, delivery)


def receive(node: Node, envelope: Envelope, delivery: Delivery) -> Visit:
    """Make the visit of a delivered message."""
    timestamp = now_ms() if delivery.timestamp is None else delivery.timestamp
    headers = envelope.headers or {}
    if type(envelope) is not _Flat:
        headers = h.received(headers)
    return Visit(node, _stamped(node, headers), envelope.body, timestamp, delivery)


def _stamped(node: Node, headers: Mapping[str, Any]) -> h.Received:
    """Return what the node makes of the headers of a message that arrives."""
    if h.LIMITER_KEY_BASE in headers:
        headers = {**headers, h.LIMITER_KEY: headers[h.LIMITER_KEY_BASE]}
        del headers[h.LIMITER_KEY_BASE]
    return h.Received(headers, **node.stamp) if node.stamp else h.Received(headers)


def now_ms() -> int:
    """Return the time as `published-timestamp` counts it: milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
