"""A reply that is read piece by piece: memory stays bounded whatever its size."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from applications.http.compression import stream_gunzip
from applications.http.csv_rows import stream_csv
from applications.http.errors import ReplyTruncated, ReplyUnreadable
from applications.http.formats import MAX_PIECE, JsonLines, split_lines, stream_text
from applications.http.response import Head
from applications.http.stream import Stream
from connectors.files import write_file


class Download(Head):
    """A successful reply whose body has not been read yet. One of these methods may be used, once."""

    def __init__(self, stream: Stream, *, is_gzip_file: bool = False, max_piece: int = MAX_PIECE) -> None:
        """`is_gzip_file` unpacks a body that is a gzip file; a content encoding is undone anyway.

        `max_piece` bounds what lies in memory at once: the characters of a line or of a CSV record.
        """
        super().__init__(stream.method, stream.url, stream.status, stream.headers, address=stream.resolve(""))
        self._stream = stream
        self._is_gzip_file = is_gzip_file
        self._max_piece = max_piece

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as bytes."""
        # Here and below, what is begun is closed in its turn: left to the garbage collector, one is closed in another.
        async with aclosing(self._stream.chunks()) as chunks:
            if not self._is_gzip_file:
                async for chunk in chunks:
                    yield chunk
                return
            async with aclosing(stream_gunzip(chunks)) as plain:
                async for chunk in plain:
                    yield chunk

    async def save(self, path: Path) -> int:
        """Write the body to a file and return its size; a file that did not become whole is not left behind."""
        return await write_file(path, self.chunks())

    async def lines(self) -> AsyncGenerator[str, None]:
        """Yield the body line by line, in the charset that the reply names."""
        async with aclosing(self._text()) as text:
            async for line in split_lines(text, max_piece=self._max_piece):
                yield line

    async def json_lines(self) -> AsyncGenerator[Any, None]:
        """Yield the value of each line. Raises `ReplyUnreadable` with the line."""
        values = JsonLines()
        async with aclosing(self.lines()) as lines:
            async for line in lines:
                for value in values.take(line):
                    yield value
        for value in values.end():
            yield value

    async def csv(self, *, delimiter: str = ",") -> AsyncGenerator[dict[str, str], None]:
        """Yield each row by the names in the first. Raises `ReplyUnreadable` for a row that is too short or long."""
        async with aclosing(self._text()) as text:
            async for row in stream_csv(text, delimiter=delimiter, max_piece=self._max_piece):
                yield row

    async def _text(self) -> AsyncGenerator[str, None]:
        try:
            async with aclosing(self.chunks()) as chunks, aclosing(stream_text(chunks, self.charset)) as texts:
                async for text in texts:
                    yield text
        except ReplyTruncated:
            raise
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None
