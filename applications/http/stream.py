"""A reply that is read piece by piece, with a bound on its size.

Its compression is undone here: HTTP libraries do not notice one that ends too early.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing

from applications.http.compression import Decoder, decoder_of
from applications.http.errors import ConnectionLost, ReplyTruncated, ReplyUnreadable, too_large
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
        *,
        address: str | None = None,
    ) -> None:
        """`pieces` are those of the body as it was sent; `close` ends the reply; the others are as in `Head`."""
        super().__init__(method, url, status, headers, address=address)
        self._pieces = pieces
        self._close = close

    async def close(self) -> None:
        """Give the connection back, or end it when the body was not read to its end."""
        await self._close()

    async def chunks(self, max_bytes: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the body in pieces, once. Raises `ReplyTruncated`, `ReplyUnreadable` and `ConnectionLost`.

        `max_bytes` bounds what is compressed, as the decoders of `compression` count it.
        """
        try:
            decoder = self._decoder(max_bytes)
            async with aclosing(self._pieces) as pieces:
                async for raw in pieces:
                    for plain in decoder.feed(raw) if decoder else (raw,):
                        yield plain
            if decoder:
                decoder.finish()
        except ReplyTruncated as error:
            raise ReplyTruncated(f"{self}: {error}") from None
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None

    def _decoder(self, max_bytes: int | None) -> Decoder | None:
        return None if self.method == "HEAD" else decoder_of(self.headers.get("content-encoding", ""), max_bytes)

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

    async def read_refusal(self, max_bytes: int) -> bytes:
        """Return the whole body; an empty one where it cannot be read. A refusal is obeyed by its head."""
        try:
            return await self.read(max_bytes)
        except (ReplyUnreadable, ConnectionLost):
            return b""
