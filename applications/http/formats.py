"""Text formats: charsets, JSON, JSON lines, CSV, gzip. Each says where it broke, never what stood there."""

import csv
import io
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json, to_json

from applications.http.errors import ReplyTruncated, ReplyUnreadable

GZIP: Final = 31
"""zlib's word for a gzip header and trailer."""

CHUNK_BYTES: Final = 1 << 16

csv.field_size_limit(1 << 24)


def decode(content: bytes, charset: str = "utf-8") -> str:
    """Return the text. Raises `ReplyUnreadable` for an unknown charset, and for bytes that it does not know."""
    try:
        return content.decode(charset)
    except LookupError:
        raise ReplyUnreadable(f"the charset {charset!r} is unknown") from None
    except UnicodeDecodeError as error:
        raise ReplyUnreadable(f"byte {error.start} is not {charset}: {error.reason}") from None


def parse_json(text: str | bytes) -> Any:
    """Return plain values. Raises `ReplyUnreadable` with the place."""
    try:
        return from_json(text)
    except ValueError as error:
        raise ReplyUnreadable(f"not JSON: {error}") from None


def parse_json_lines(text: str) -> Iterator[Any]:
    """Yield the value of each line; empty lines are skipped. Raises `ReplyUnreadable` with the line."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield parse_json_line(line, number)


def parse_json_line(line: str, number: int) -> Any:
    """Return the value of one line. Raises `ReplyUnreadable` with its number."""
    try:
        return from_json(line)
    except ValueError as error:
        raise ReplyUnreadable(f"line {number} is not JSON: {error}") from None


def write_json_lines(items: Iterable[Any]) -> str:
    """Return the items, models or plain values, one a line."""
    return "".join(f"{to_json(item).decode()}\n" for item in items)


def parse_csv(text: str, *, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Yield each row by the names of the first. Raises `ReplyUnreadable` for a row that is too short or too long."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter, strict=True)
    reader = CsvRows()
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise ReplyUnreadable(f"CSV, line {rows.line_num}: {error}") from None
        yield from reader.take(row, rows.line_num)


class CsvRows:
    """Turns rows of fields into rows by name; the first row holds the names."""

    def __init__(self) -> None:
        self.names: Sequence[str] | None = None

    def take(self, row: Sequence[str], line: int) -> Iterator[dict[str, str]]:
        """Yield the row by name; nothing for the names themselves and for an empty line.

        Raises `ReplyUnreadable` with the line for a row that is too short or long, and for two columns of one name.
        """
        if not row:
            return
        if self.names is None:
            self.names = row
            if len(set(row)) != len(row):
                raise ReplyUnreadable(f"CSV, line {line}: a column has the name of another")
        elif len(row) != len(self.names):
            raise ReplyUnreadable(f"CSV, line {line}: {len(row)} fields, but {len(self.names)} columns")
        else:
            yield dict(zip(self.names, row, strict=True))


def write_csv(rows: Iterable[Mapping[str, Any]], names: Sequence[str], *, delimiter: str = ",") -> str:
    """Return the rows as CSV with a first row of names. Raises `ValueError` for a row with a name not in `names`."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


async def split_lines(chunks: AsyncIterable[str]) -> AsyncIterator[str]:
    """Yield the lines of a text that comes in chunks, without their ends."""
    rest = ""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            yield line.removesuffix("\r")
    if rest:
        yield rest.removesuffix("\r")


async def stream_csv(lines: AsyncIterable[str], *, delimiter: str = ",") -> AsyncIterator[dict[str, str]]:
    """As `parse_csv`, for lines that come one by one; a quoted field may hold several.

    Raises `ReplyUnreadable` as that, and `ReplyTruncated` for a quote without its end.
    """
    reader, record, number, started = CsvRows(), "", 0, 1
    async for line in lines:
        number += 1
        record = f"{record}\n{line}" if record else line.removeprefix("\ufeff")
        if record.count('"') % 2:
            continue
        for row in _rows(record, delimiter, started):
            for named in reader.take(row, started):
                yield named
        record, started = "", number + 1
    if record:
        raise ReplyTruncated(f"CSV, line {started}: a quoted field has no end")


def _rows(record: str, delimiter: str, line: int) -> Iterator[list[str]]:
    try:
        yield from csv.reader([record], delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise ReplyUnreadable(f"CSV, line {line}: {error}") from None


def gzip(content: bytes) -> bytes:
    """Return the content compressed."""
    compressor = zlib.compressobj(wbits=GZIP)
    return compressor.compress(content) + compressor.flush()


def gunzip(content: bytes, *, max_bytes: int) -> bytes:
    """Return the content. Raises `ReplyTruncated`, or `ReplyUnreadable` when broken or larger than `max_bytes`."""
    inflater, parts, size = Inflater(GZIP), [], 0
    for part in inflater.feed(content):
        size += len(part)
        if size > max_bytes:
            raise ReplyUnreadable(f"gzip: more than {max_bytes} bytes")
        parts.append(part)
    inflater.finish()
    return b"".join(parts)


async def stream_gunzip(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """As `gunzip`, for content that comes in chunks; memory stays bounded whatever it grows to."""
    inflater = Inflater(GZIP)
    async for chunk in chunks:
        for part in inflater.feed(chunk):
            yield part
    inflater.finish()


class Inflater:
    """Takes compressed bytes and gives plain ones, in pieces of bounded size."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._zlib = zlib.decompressobj(wbits)
        self._has_begun = False

    def feed(self, content: bytes) -> Iterator[bytes]:
        """Yield what comes of these bytes. Raises `ReplyUnreadable` when they are broken."""
        while content:
            if self._zlib.eof:
                self._zlib = zlib.decompressobj(self._wbits)
            self._has_begun = True
            try:
                plain = self._zlib.decompress(content, CHUNK_BYTES)
            except zlib.error as error:
                raise ReplyUnreadable(f"compressed content is broken: {error}") from None
            if plain:
                yield plain
            content = self._zlib.unconsumed_tail or self._zlib.unused_data

    def finish(self) -> None:
        """Raise `ReplyTruncated` when the end has not come."""
        if self._has_begun and not self._zlib.eof:
            raise ReplyTruncated("compressed content ends too early")
