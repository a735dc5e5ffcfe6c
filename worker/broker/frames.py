"""AMQP 0-9-1 frames of the message path, packed in one go.

Publishing and acknowledging happen for every message, and packing their frames field by field costs more than all
else the worker does with it. Everything rarer goes through aiormq. The layout is that of the specification,
section 2.3.5; a test reads the frames back with pamqp.
"""

import struct
from functools import lru_cache
from typing import Final

_METHOD, _HEADER, _BODY, _END = 1, 2, 3, 0xCE
_BASIC, _PUBLISH, _ACK, _NACK = 60, 40, 80, 120
_CONTENT_TYPE, _HEADERS, _DELIVERY_MODE, _MESSAGE_ID = 1 << 15, 1 << 13, 1 << 12, 1 << 7
_PERSISTENT = 2

MESSAGE_ID_LENGTH: Final = 20
FRAME_OVERHEAD: Final = 8

_ack = struct.Struct(">BHIHHQBB").pack
_frame_start = struct.Struct(">BHI").pack
_content = struct.Struct(f">BHIHHQH17sI20scqB1s{MESSAGE_ID_LENGTH}sB")
_CONTENT_PAYLOAD = _content.size - FRAME_OVERHEAD
_TABLE_LENGTH = 20 + 1 + 8


def acknowledge(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Return basic.ack for this delivery, or with `multiple` for all up to it."""
    return _ack(_METHOD, channel, 13, _BASIC, _ACK, tag, multiple, _END)


def hand_back(channel: int, tag: int) -> bytes:
    """Return basic.nack with requeue for this delivery."""
    return _ack(_METHOD, channel, 13, _BASIC, _NACK, tag, 0b10, _END)


@lru_cache(maxsize=4096)
def _publish(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    names = b"".join(bytes((len(name),)) + name for name in (exchange.encode(), routing_key.encode()))
    payload = struct.pack(">HHH", _BASIC, _PUBLISH, 0) + names + bytes((mandatory,))
    return _frame_start(_METHOD, channel, len(payload)) + payload + bytes((_END,))


def publish(
    channel: int,
    exchange: str,
    routing_key: str,
    body: bytes,
    *,
    message_id: bytes,
    timestamp: int,
    mandatory: bool,
    frame_max: int,
) -> bytes:
    """Return the frames of one persistent JSON message with the header `published-timestamp` (ms)."""
    header = _content.pack(
        _HEADER,
        channel,
        _CONTENT_PAYLOAD,
        _BASIC,
        0,
        len(body),
        _CONTENT_TYPE | _HEADERS | _DELIVERY_MODE | _MESSAGE_ID,
        b"\x10application/json",
        _TABLE_LENGTH,
        b"\x13published-timestamp",
        b"l",
        timestamp,
        _PERSISTENT,
        b"\x14",
        message_id,
        _END,
    )
    parts = [_publish(channel, exchange, routing_key, mandatory), header]
    room = frame_max - FRAME_OVERHEAD
    for start in range(0, len(body), room):
        piece = body[start : start + room]
        parts += _frame_start(_BODY, channel, len(piece)), piece, b"\xce"
    return b"".join(parts)
