"""The message on the wire: JSON `{"headers": {...}, "body": "..."}`, without a pydantic model on the hot path."""

from typing import Any

import msgspec

from worker.errors import UnreadableMessage


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
