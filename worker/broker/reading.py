"""What the broker sends, made readable before aiormq reads it.

A frame that aiormq cannot read ends its connection, and with it the work of all nodes; the broker delivers the message
again on the next one. Whoever may publish can send such a frame: a timestamp beyond all calendars, a header of an
unknown type, a routing key that is no UTF-8. So aiormq sees of a message's properties only what the worker uses, and
of names only what is text. What the broker says of the whole connection is noted on the way.
"""

import asyncio
import re
import struct
from collections.abc import Callable
from typing import Final

CHUNK_BYTES = 2**18
USUAL_FRAME_MAX = 131_072
"""The largest frame where the broker sets no limit."""

_METHOD, _HEADER = b"\x01", b"\x02"
_HEAD_BYTES = 7
_LONG = struct.Struct(">I").unpack_from
_TUNE = struct.Struct(">HIH")
_FLAGS_AT = 12
_END = b"\xce"

_USUAL: Final = b"\xb0\x80\x10application/json\x00\x00\x00\x1d\x13published-timestampl"
"""How the properties begin that a worker gives its messages: the timestamp follows, and nothing else that is used."""
_USUAL_TO: Final = _FLAGS_AT + len(_USUAL)
_TABLE_AT: Final = _FLAGS_AT + 2 + 17
_ONLY_HEADERS: Final = b"\x20\x00"

_ORDINARY: Final = re.compile(rb"(?s:\x13published-timestampl.{8}|\x10x-(?:delivery|acquired)-countl.{8})+").fullmatch
"""The header table of the platform's messages, and of those that the broker delivers again."""

_NAMES: Final = (b"published-timestamp", b"x-delivery-count", b"timestamp_in_ms")
"""The headers of a message that the worker uses."""
_INTEGERS = frozenset(b"bBsuIil")
_FIXED: Final = dict(zip(b"tbBsuUIilLfdTDV", (1, 1, 1, 2, 2, 2, 4, 4, 8, 8, 4, 8, 8, 5, 0), strict=True))
"""How long the values of a header table are, by type."""
_LONGS = frozenset(b"SAFx")
"""The types that say their length themselves."""
_LATEST_SECONDS = 2**32
"""pamqp takes larger timestamps for milliseconds, and fails for some."""

_DELIVER, _RETURN, _GET_OK = (struct.pack(">HH", 60, method) for method in (60, 50, 71))
_CLOSE, _TUNED, _BLOCKED, _UNBLOCKED = (struct.pack(">HH", 10, method) for method in (50, 30, 60, 61))
_CHANNEL_CLOSE = struct.pack(">HH", 20, 40)
_TEXTS: Final = {
    _DELIVER: (None, 9, None, None),
    _RETURN: (2, None, None, None),
    _GET_OK: (9, None, None),
    _CLOSE: (2, None),
    _CHANNEL_CLOSE: (2, None),
    _BLOCKED: (None,),
}
"""The layout of methods that hold text of others: None is a text, a number so many bytes of something else."""


class ConnectionState:
    """What the broker has said of a connection."""

    def __init__(self) -> None:
        self.closed_for = ""
        """Why the broker closes it."""
        self.blocked_for = ""
        """Why the broker takes no messages on it, while it does not."""
        self.on_blocked: Callable[[], None] = lambda: None
        """Called when that changes."""

    def note(self, method: bytes, payload: bytes) -> None:
        """Note a method that the broker sends."""
        if method == _CLOSE:
            self.closed_for = _text(payload, 6)
        elif method == _BLOCKED:
            self._block(_text(payload, 4))
        elif method == _UNBLOCKED:
            self._block("")

    def _block(self, reason: str) -> None:
        self.blocked_for = reason
        self.on_blocked()


class FrameReader:
    """Stands for the `StreamReader` of a connection: aiormq reads of each frame the type, the rest of its head, and the
    payload with the frame's end.
    """

    def __init__(self, reader: asyncio.StreamReader, state: ConnectionState) -> None:
        self._reader = reader
        self._state = state
        self._chunk = b""
        self._at = 0
        self._rest = b""
        self._payload = b""
        self._returning: set[bytes] = set()
        """The channels on which the broker returns a message, whose properties come next."""

    def at_eof(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._chunk) and self._reader.at_eof()

    async def readexactly(self, size: int) -> bytes:
        """Return the next piece of a frame. Raises `IncompleteReadError` at the end."""
        if size == 1 and not self._payload:
            return await self._next()
        if self._rest:
            piece, self._rest = self._rest, b""
        else:
            piece, self._payload = self._payload, b""
        return piece

    async def _next(self) -> bytes:
        """Read a frame; return its type."""
        at = self._at
        if len(self._chunk) - at < _HEAD_BYTES:
            at = await self._fill(_HEAD_BYTES)
        if self._chunk.startswith(b"AMQP", at):  # the broker wants another protocol
            self._at, self._rest, self._payload = at + 7, self._chunk[at + 1 : at + 7], b"-"
            return self._chunk[at : at + 1]
        size = _HEAD_BYTES + _LONG(self._chunk, at + 3)[0] + 1
        if len(self._chunk) - at < size:
            at = await self._fill(size)
        chunk, self._at = self._chunk, at + size
        kind, payload = chunk[at : at + 1], chunk[at + _HEAD_BYTES : at + size]
        if kind == _HEADER:
            payload = self._properties(chunk[at + 1 : at + 3], payload)
            self._rest = chunk[at + 1 : at + 3] + (len(payload) - 1).to_bytes(4)
        elif kind == _METHOD:
            payload = self._method(chunk[at + 1 : at + 3], payload)
            self._rest = chunk[at + 1 : at + 3] + (len(payload) - 1).to_bytes(4)
        else:
            self._rest = chunk[at + 1 : at + _HEAD_BYTES]
        self._payload = payload
        return kind

    async def read(self) -> bytes:
        """Return all that is left."""
        rest, self._at = self._chunk[self._at :], len(self._chunk)
        return rest + await self._reader.read()

    async def _fill(self, size: int) -> int:
        """Read until there are so many bytes; return where they begin."""
        pieces = [self._chunk[self._at :]]
        found = len(pieces[0])
        while found < size:
            piece = await self._reader.read(CHUNK_BYTES)
            if not piece:
                raise asyncio.IncompleteReadError(b"".join(pieces), size)
            pieces.append(piece)
            found += len(piece)
        self._chunk, self._at = b"".join(pieces), 0
        return 0

    def _properties(self, channel: bytes, payload: bytes) -> bytes:
        if self._returning and channel in self._returning:
            self._returning.remove(channel)
            return used_properties(payload)
        return _usual_properties(payload) or _ordinary_properties(payload) or used_properties(payload)

    def _method(self, channel: bytes, payload: bytes) -> bytes:
        if payload.startswith(_RETURN):
            self._returning.add(channel)
        if payload[1] == 10:  # noqa: PLR2004 - the class of methods about the connection
            self._state.note(payload[:4], payload)
            if payload[:4] == _TUNED:
                return limited_frames(payload)
        return readable_method(payload)


def _usual_properties(payload: bytes) -> bytes:
    """Return what the worker uses of a delivery's content header if a worker has written it, otherwise nothing."""
    if payload[_FLAGS_AT:_USUAL_TO] == _USUAL and len(payload) > _USUAL_TO + 8:
        return payload[:_FLAGS_AT] + _ONLY_HEADERS + payload[_TABLE_AT : _USUAL_TO + 8] + _END
    return b""


def _ordinary_properties(payload: bytes) -> bytes:
    """Return the headers of a delivery if all of them can be read, otherwise nothing; what else it has nobody uses."""
    try:
        flags = payload[_FLAGS_AT]
        if flags & 0x60 != 0x20:  # noqa: PLR2004 - headers, and before them no more than a content type
            return b""
        at = _FLAGS_AT + 2 + (1 + payload[_FLAGS_AT + 2] if flags & 0x80 else 0)
        end = at + 4 + _LONG(payload, at)[0]
    except (IndexError, struct.error):
        return b""
    if end < len(payload) and _ORDINARY(payload, at + 4, end):
        return payload[:_FLAGS_AT] + _ONLY_HEADERS + payload[at:end] + _END
    return b""


def used_properties(payload: bytes) -> bytes:
    """Return a content header, with its end, that has of the properties only those that the worker uses.

    The id of a message is among them: by it a message is known that the broker returns. One whose properties cannot be
    read has none.
    """
    try:
        flags, properties = _used(payload)
    except (IndexError, struct.error):
        flags, properties = 0, b""
    return payload[:_FLAGS_AT] + flags.to_bytes(2) + properties + _END


def _used(payload: bytes) -> tuple[int, bytes]:
    """Read the properties in the order of the specification, section 1.8."""
    flags = int.from_bytes(payload[_FLAGS_AT : _FLAGS_AT + 2])
    at = _FLAGS_AT + 2
    kept, used = 0, b""
    for text in (1 << 15, 1 << 14):
        if flags & text:
            at += 1 + payload[at]
    if flags & 1 << 13:
        (size,) = _LONG(payload, at)
        used = _used_headers(payload, at + 4, min(at + 4 + size, len(payload)))
        kept, at = 1 << 13, at + 4 + size
    at += bool(flags & 1 << 12) + bool(flags & 1 << 11)
    for text in (1 << 10, 1 << 9, 1 << 8):
        if flags & text:
            at += 1 + payload[at]
    if flags & 1 << 7:
        message_id = payload[at : at + 1 + payload[at]]
        at += len(message_id)
        if message_id.isascii():
            kept, used = kept | 1 << 7, used + message_id
    if flags & 1 << 6:
        timestamp = payload[at : at + 8]
        at += 8
        if int.from_bytes(timestamp) < _LATEST_SECONDS:
            kept, used = kept | 1 << 6, used + timestamp
    payload[at]  # the end of the frame; else a property ends behind it
    return kept, used


def _used_headers(payload: bytes, at: int, end: int) -> bytes:
    used = b""
    while at < end:
        kind_at = at + 1 + payload[at]
        kind = payload[kind_at]
        size = _FIXED.get(kind)
        if size is None:
            if kind not in _LONGS:  # where its value ends, nobody knows
                break
            size = 4 + _LONG(payload, kind_at + 1)[0]
        following = kind_at + 1 + size
        if kind in _INTEGERS and payload[at + 1 : kind_at] in _NAMES and following <= end:
            used += payload[at:following]
        at = following
    return len(used).to_bytes(4) + used


def limited_frames(payload: bytes) -> bytes:
    """Return connection.tune with the usual limit for frames where it has none."""
    channels, largest, heartbeat = _TUNE.unpack_from(payload, 4)
    return payload[:4] + _TUNE.pack(channels, largest or USUAL_FRAME_MAX, heartbeat) + payload[4 + _TUNE.size :]


def readable_method(payload: bytes) -> bytes:
    """Return a method whose texts are UTF-8: in those that are not, `?` stands for what is no ASCII."""
    method = payload[:4]
    if method == _DELIVER and payload[payload[4] + 14 : -1].isascii():  # what stands before is the worker's own
        return payload
    layout = _TEXTS.get(method)
    if layout is None:
        return payload
    at, parts = 4, [method]
    for width in layout:
        end = at + (1 + payload[at] if width is None else width)
        part = payload[at:end]
        parts.append(part if width is not None or part.isascii() else _readable_text(part))
        at = end
    return b"".join((*parts, payload[at:]))


def _readable_text(part: bytes) -> bytes:
    text = part[1:]
    try:
        text.decode()
    except UnicodeDecodeError:
        return part[:1] + bytes(byte if byte < 128 else ord("?") for byte in text)  # noqa: PLR2004 - ASCII
    return part


def _text(payload: bytes, at: int) -> str:
    return payload[at + 1 : at + 1 + payload[at]].decode(errors="replace")
