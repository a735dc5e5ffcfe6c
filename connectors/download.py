"""A reply that is read piece by piece: memory stays bounded whatever its size."""

import codecs
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from applications.http.formats import parse_json_line, split_lines, stream_csv, stream_gunzip
from applications.http.response import Head
from applications.http.wire import Stream
from connectors.files import write_file


class Download(Head):
    """A successful reply whose body has not been read yet. One of these methods may be used, once."""

    def __init__(self, stream: Stream, *, is_gzip_file: bool = False) -> None:
        """`is_gzip_file` unpacks a body that is a gzip file; a content encoding is undone anyway."""
        super().__init__(stream.method, stream.url, stream.status, stream.headers)
        self._stream = stream
        self._is_gzip_file = is_gzip_file

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as bytes."""
        return stream_gunzip(self._stream.chunks()) if self._is_gzip_file else self._stream.chunks()

    async def save(self, path: Path) -> int:
        """Write the body to a file and return its size; a file that did not become whole is not left behind."""
        return await write_file(path, self.chunks())

    async def lines(self) -> AsyncIterator[str]:
        """Yield the body line by line, in the charset that the reply names."""
        async for line in split_lines(self._text()):
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
        async for row in stream_csv(self.lines(), delimiter=delimiter):
            yield row

    async def _text(self) -> AsyncIterator[str]:
        try:
            decoder = codecs.getincrementaldecoder(self.charset)()
            async for chunk in self.chunks():
                yield decoder.decode(chunk)
            yield decoder.decode(b"", final=True)
        except LookupError:
            raise self.unreadable(f"the charset {self.charset!r} is unknown") from None
        except UnicodeDecodeError as error:
            raise self.unreadable(f"bytes that are not {self.charset}: {error.reason}") from None
