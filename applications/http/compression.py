"""Gzip and deflate: undone in pieces of bounded size, and bounded in what they grow to."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from typing import Final

from applications.http.errors import ReplyTruncated, ReplyUnreadable, too_large

GZIP: Final = 31
"""zlib's word for a gzip header and trailer."""

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
    inflater = Inflater(GZIP, max_bytes)
    parts = list(inflater.feed(content))
    inflater.finish()
    return b"".join(parts)


async def stream_gunzip(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """As `gunzip`, for content that comes in chunks; memory stays bounded whatever it grows to."""
    inflater = Inflater(GZIP)
    async for chunk in chunks:
        for part in inflater.feed(chunk):
            yield part
    inflater.finish()


class Inflater:
    """Takes compressed bytes and gives plain ones, in pieces of bounded size."""

    def __init__(self, wbits: int, max_bytes: int | None = None) -> None:
        """`max_bytes` bounds the plain bytes and the compressed ones; each member counts as 1 KiB at least."""
        self._wbits = wbits
        self._max_bytes = max_bytes
        self._zlib = zlib.decompressobj(wbits)
        self._has_begun = False
        self._taken = 0
        self._given = 0
        self._of_member = 0

    def feed(self, content: bytes) -> Iterator[bytes]:
        """Yield what comes of these bytes. Raises `ReplyUnreadable` when they are broken, or too many."""
        for start in range(0, len(content), _FED_BYTES):
            piece = content[start : start + _FED_BYTES]
            self._taken += len(piece)
            yield from self._feed(piece)

    def _feed(self, content: bytes) -> Iterator[bytes]:
        while content:
            if self._zlib.eof:
                self._begin_member()
            self._has_begun = True
            try:
                plain = self._zlib.decompress(content, CHUNK_BYTES)
            except zlib.error as error:
                raise ReplyUnreadable(f"compressed content is broken: {error}") from None
            self._count(len(plain))
            if plain:
                yield plain
            content = self._zlib.unconsumed_tail or self._zlib.unused_data

    def _begin_member(self) -> None:
        self._given += max(0, _MEMBER_BYTES - self._of_member)
        self._of_member = 0
        self._zlib = zlib.decompressobj(self._wbits)

    def _count(self, size: int) -> None:
        self._given += size
        self._of_member += size
        if self._max_bytes is not None and max(self._given, self._taken) > self._max_bytes:
            raise too_large(self._max_bytes)

    def finish(self) -> None:
        """Raise `ReplyTruncated` when the end has not come."""
        if self._has_begun and not self._zlib.eof:
            raise ReplyTruncated("compressed content ends too early")
