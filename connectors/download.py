"""A reply that is read piece by piece: memory stays bounded whatever its size."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from applications.http.compression import stream_gunzip
from applications.http.errors import ReplyTruncated, ReplyUnreadable
from applications.http.formats import MAX_PIECE, parse_json_line, split_lines, stream_csv, stream_text
from applications.http.response import Head
from applications.http.wire import Stream
from connectors.files import write_file


class Download(Head):
    """A successful reply whose body has not been read yet. One of these methods may be used, once."""

    def __init__(self, stream: Stream, *, is_gzip_file: bool = False, max_piece: int = MAX_PIECE) -> None:
        """`is_gzip_file` unpacks a body that is a gzip file; a content encoding is undone anyway.

        `max_piece` bounds what lies in memory at once: the characters of a line or of a CSV record.
        """
        super().__init__(stream.method, stream.url, stream.status, stream.headers)
        self._stream = stream
        self._is_gzip_file = is_gzip_file
        self._max_piece = max_piece

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as bytes."""
        return stream_gunzip(self._stream.chunks()) if self._is_gzip_file else self._stream.chunks()

    async def save(self, path: Path) -> int:
        """Write the body to a file and return its size; a file that did not become whole is not left behind."""
        return await write_file(path, self.chunks())

    async def lines(self) -> AsyncIterator[str]:
        """Yield the body line by line, in the charset that the reply names."""
        async for line in split_lines(self._text(), max_piece=self._max_piece):
            yield line

    async def json_lines(self) -> AsyncIterator[Any]:
        """Yield the value of each line. Raises `ReplyUnreadable` with the line."""
        number = 0
        async for line in self.lines():
            number += 1
            if line.strip():
                yield parse_json_line(line, number)

    async def csv(self, *, delimiter: str = ",") -> AsyncIterator[dict[str, str]]:
        """Yield each row by the names in the first. Raises `ReplyUnreadable` for a row that is too short or long."""
        async for row in stream_csv(self._text(), delimiter=delimiter, max_piece=self._max_piece):
            yield row

    async def _text(self) -> AsyncIterator[str]:
        try:
            async for text in stream_text(self.chunks(), self.charset):
                yield text
        except ReplyTruncated:
            raise
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None
