"""Content encodings: undone in pieces of bounded size, and bounded in what they grow to."""

import re
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from applications.http.errors import ReplyTruncated, ReplyUnreadable, too_large

GZIP: Final = 31
"""zlib's word for a gzip header and trailer."""

_GZIP_MAGIC: Final = b"\x1f\x8b"

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW_LOG: Final = 23
"""8 MiB, which is all that HTTP may use: RFC 8878, 8.1."""
_ZLIB_HEADER_BYTES: Final = 2
_ZLIB_METHOD: Final = 8

CHUNK_BYTES: Final = 1 << 16

_FED_BYTES: Final = 1 << 12
"""How much is fed at once: zlib copies what follows a member, so that many small ones cost this much each."""

_MEMBER_BYTES: Final = 1 << 10
"""What a member counts at least: an empty one takes 20 bytes of the file, and as much time as this many."""


def gzip(content: bytes) -> bytes:
    """Return the content compressed."""
    compressor = zlib.compressobj(wbits=GZIP)
    return compressor.compress(content) + compressor.flush()


def gunzip(content: bytes, *, max_bytes: int) -> bytes:
    """Return the content. Raises `ReplyTruncated`, or `ReplyUnreadable` when broken or larger than `max_bytes`.

    The compressed bytes may not be more than that either, and each member of the file counts as 1 KiB at least.
    """
    inflater = Inflater(GZIP, max_bytes, is_file=True)
    parts = list(inflater.feed(content))
    inflater.finish()
    return b"".join(parts)


async def stream_gunzip(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """As `gunzip`, for content that comes in chunks; memory stays bounded whatever it grows to."""
    inflater = Inflater(GZIP, is_file=True)
    async for chunk in chunks:
        for part in inflater.feed(chunk):
            yield part
    inflater.finish()


class Decoder(Protocol):
    """Takes encoded bytes and gives plain ones, in pieces of bounded size."""

    def feed(self, content: bytes) -> Iterator[bytes]:
        """Yield what comes of these bytes. Raises `ReplyUnreadable` when they are broken, or too many."""

    def finish(self) -> None:
        """Raise `ReplyTruncated` when the end has not come."""


class _Bound:
    """Counts what is taken and given: neither may be more than `max_bytes`; each member counts as 1 KiB at least."""

    def __init__(self, max_bytes: int | None) -> None:
        self._max_bytes = max_bytes
        self._taken = 0
        self._given = 0
        self._of_member = 0

    def take(self, size: int) -> None:
        self._taken += size
        self._check()

    def give(self, size: int) -> None:
        self._given += size
        self._of_member += size
        self._check()

    def begin_member(self) -> None:
        self._given += max(0, _MEMBER_BYTES - self._of_member)
        self._of_member = 0

    def _check(self) -> None:
        if self._max_bytes is not None and max(self._given, self._taken) > self._max_bytes:
            raise too_large(self._max_bytes)


class Inflater:
    """Undoes gzip and deflate: members one after the other, and nothing of what stands behind them.

    `deflate` is read with the header of zlib and without, as services send both.
    """

    def __init__(self, wbits: int, max_bytes: int | None = None, *, is_file: bool = False) -> None:
        """`is_file`: only zeros may stand behind the members, as tape archives have them."""
        self._wbits = wbits
        self._bound = _Bound(max_bytes)
        self._is_file = is_file
        self._zlib = zlib.decompressobj(wbits)
        self._has_begun = False
        self._behind = b""

    def feed(self, content: bytes) -> Iterator[bytes]:
        """Yield what comes of these bytes. Raises `ReplyUnreadable` when they are broken, or too many."""
        for start in range(0, len(content), _FED_BYTES):
            piece = content[start : start + _FED_BYTES]
            self._bound.take(len(piece))
            yield from self._feed(piece)

    def _feed(self, content: bytes) -> Iterator[bytes]:
        if self._wbits == zlib.MAX_WBITS and not self._has_begun:
            content = self._behind + content
            if len(content) < _ZLIB_HEADER_BYTES:
                self._behind = content
                return
            self._begin_deflate(content)
        while content:
            if self._zlib.eof:
                content = self._begin_member(content)
                continue
            self._has_begun = True
            try:
                plain = self._zlib.decompress(content, CHUNK_BYTES)
            except zlib.error as error:
                raise ReplyUnreadable(f"compressed content is broken: {error}") from None
            self._bound.give(len(plain))
            if plain:
                yield plain
            content = self._zlib.unconsumed_tail or self._zlib.unused_data

    def _begin_deflate(self, content: bytes) -> None:
        """Leave out zlib's header where the service has: RFC 1950, 2.2 has how it is known."""
        self._behind = b""
        if content[0] & 0x0F != _ZLIB_METHOD or int.from_bytes(content[:2]) % 31:
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)

    def _begin_member(self, content: bytes) -> bytes:
        """Begin the next member, if there is one, and return what is to be fed to it."""
        behind, self._behind = self._behind + content, b""
        if self._wbits != GZIP or not behind.startswith(_GZIP_MAGIC[: len(behind)]):
            if self._is_file and behind.strip(b"\0"):
                raise ReplyUnreadable("compressed content is broken: what stands behind it is not compressed")
            return b""
        if len(behind) < len(_GZIP_MAGIC):
            self._behind = behind
            return b""
        self._bound.begin_member()
        self._zlib = zlib.decompressobj(self._wbits)
        return behind

    def finish(self) -> None:
        """Raise `ReplyTruncated` when the end has not come."""
        if (self._has_begun and not self._zlib.eof) or (self._behind and not self._has_begun):
            raise ReplyTruncated("compressed content ends too early")


class _Brotli:
    def __init__(self, max_bytes: int | None) -> None:
        # Imported here: few services use it without being asked for it.
        import brotli  # noqa: PLC0415 - see above

        self._brotli, self._error = brotli.Decompressor(), brotli.error
        self._bound, self._has_begun = _Bound(max_bytes), False

    def feed(self, content: bytes) -> Iterator[bytes]:
        self._bound.take(len(content))
        self._has_begun = self._has_begun or bool(content)
        while (content or not self._brotli.can_accept_more_data()) and not self._brotli.is_finished():
            try:
                plain = self._brotli.process(content, output_buffer_limit=CHUNK_BYTES)
            except self._error as error:
                raise ReplyUnreadable(f"compressed content is broken: {error}") from None
            self._bound.give(len(plain))
            content = b""
            yield plain

    def finish(self) -> None:
        if self._has_begun and not self._brotli.is_finished():
            raise ReplyTruncated("compressed content ends too early")


class _Zstandard:
    def __init__(self, max_bytes: int | None) -> None:
        self._module = _zstandard()
        self._zstd = self._begun()
        self._bound, self._has_begun = _Bound(max_bytes), False

    def _begun(self) -> Any:
        return self._module.ZstdDecompressor(
            options={self._module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        )

    def feed(self, content: bytes) -> Iterator[bytes]:
        self._bound.take(len(content))
        while content or not (self._zstd.needs_input or self._zstd.eof):
            if self._zstd.eof:  # several frames may follow each other
                if not content.startswith(_ZSTD_MAGIC[: len(content)]):
                    return
                self._bound.begin_member()
                self._zstd = self._begun()
            self._has_begun = True
            try:
                plain = self._zstd.decompress(content, CHUNK_BYTES)
            except self._module.ZstdError as error:
                raise ReplyUnreadable(f"compressed content is broken: {error}") from None
            self._bound.give(len(plain))
            content = self._zstd.unused_data if self._zstd.eof else b""
            yield plain

    def finish(self) -> None:
        if self._has_begun and not self._zstd.eof:
            raise ReplyTruncated("compressed content ends too early")


def _zstandard() -> Any:
    # Imported here, as brotli is.
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - see above
    else:
        from backports import zstd  # noqa: PLC0415 - the same for earlier versions
    return zstd


class _Chain:
    """Undoes several encodings, the last one first."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, content: bytes) -> Iterator[bytes]:
        return self._through(self._decoders, content)

    def _through(self, decoders: Sequence[Decoder], content: bytes) -> Iterator[bytes]:
        if not decoders:
            yield content
            return
        for plain in decoders[0].feed(content):
            yield from self._through(decoders[1:], plain)

    def finish(self) -> None:
        for decoder in self._decoders:
            decoder.finish()


_DECODERS: Final[Mapping[str, Callable[[int | None], Decoder]]] = {
    "gzip": lambda max_bytes: Inflater(GZIP, max_bytes),
    "x-gzip": lambda max_bytes: Inflater(GZIP, max_bytes),
    "deflate": lambda max_bytes: Inflater(zlib.MAX_WBITS, max_bytes),
    "br": _Brotli,
    "zstd": _Zstandard,
}
_PLAIN: Final = re.compile(r"|identity|none|null|binary|[78]bit|(utf|iso|us|windows|latin)[-_]?\w*([-_]\w+)*")
"""What services write that have not encoded anything; some name the charset."""
MOST_ENCODINGS: Final = 5


def decoder_of(encodings: str, max_bytes: int | None) -> Decoder | None:
    """Return what undoes a `Content-Encoding`; None where there is nothing to undo.

    Raises `ReplyUnreadable` for an encoding that is unknown, and for more than five.
    """
    named = [name for part in encodings.split(",") if not _PLAIN.fullmatch(name := part.strip().strip('"').lower())]
    if unknown := [name for name in named if name not in _DECODERS]:
        raise ReplyUnreadable(f"content encoding {unknown[0]!r}, which was not asked for")
    if len(named) > MOST_ENCODINGS:
        raise ReplyUnreadable(f"{len(named)} content encodings, one upon the other")
    decoders = [_DECODERS[name](max_bytes) for name in reversed(named)]
    return _Chain(decoders) if len(decoders) > 1 else next(iter(decoders), None)


def decoded(content: bytes, encodings: str, max_bytes: int) -> bytes:
    """Return the content without its encodings. Raises `ReplyTruncated` and `ReplyUnreadable`."""
    decoder = decoder_of(encodings, max_bytes)
    if decoder is None:
        return content
    plain = b"".join(decoder.feed(content))
    decoder.finish()
    return plain
