"""A reply that is read piece by piece, with a bound on its size.

Its compression is undone here: HTTP libraries do not notice one that ends too early.
"""

import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing

from applications.http.compression import GZIP, Inflater
from applications.http.errors import ReplyTruncated, ReplyUnreadable, too_large
from applications.http.response import Head


class Stream(Head):
    """A reply whose body is still to be read, without its content encoding."""

    def __init__(
        self,
        method: str,
        url: str,
        status: int,
        headers: Mapping[str, str],
        pieces: AsyncGenerator[bytes, None],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        """`pieces` are those of the body as it was sent; `close` ends the reply."""
        super().__init__(method, url, status, headers)
        self._pieces = pieces
        self._close = close

    async def close(self) -> None:
        """Give the connection back, or end it when the body was not read to its end."""
        await self._close()

    async def chunks(self, max_bytes: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the body in pieces, once. Raises `ReplyTruncated`, `ReplyUnreadable` and `ConnectionLost`.

        `max_bytes` bounds what is compressed, as `Inflater` counts it.
        """
        inflater = self._inflater(max_bytes)
        try:
            async with aclosing(self._pieces) as pieces:
                async for raw in pieces:
                    for plain in inflater.feed(raw) if inflater else (raw,):
                        yield plain
            if inflater:
                inflater.finish()
        except ReplyTruncated as error:
            raise ReplyTruncated(f"{self}: {error}") from None
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None

    def _inflater(self, max_bytes: int | None) -> Inflater | None:
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding in {"", "identity"} or self.method == "HEAD":
            return None
        if encoding not in {"gzip", "x-gzip", "deflate"}:
            raise ReplyUnreadable(f"content encoding {encoding!r}, which was not asked for")
        return Inflater(zlib.MAX_WBITS if encoding == "deflate" else GZIP, max_bytes)

    async def read(self, max_bytes: int) -> bytes:
        """Return the whole body. Raises as `chunks` does, and `ReplyUnreadable` above `max_bytes`."""
        parts, size = [], 0
        async with aclosing(self.chunks(max_bytes)) as chunks:
            async for part in chunks:
                size += len(part)
                if size > max_bytes:
                    raise self.unreadable(too_large(max_bytes))
                parts.append(part)
        return b"".join(parts)
