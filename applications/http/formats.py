"""Text formats: charsets, JSON, JSON lines, CSV. Each says where it broke, never what stood there.

Each takes a time that grows with the size of what it reads, whatever that is.
"""

import csv
import io
import re
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import closing
from encodings import aliases, normalize_encoding
from functools import cache
from pkgutil import iter_modules
from types import coroutine
from typing import Any, Final

from aiocsv import AsyncReader
from pydantic_core import from_json, to_json

from applications.http.errors import ReplyTruncated, ReplyUnreadable

MAX_PIECE: Final = 64 << 20
"""Characters of a line or a CSV record that is read from a stream, when no other number is given."""

_NOT_CHARSETS: Final = frozenset(
    {"aliases", "charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}
    | {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
"""Codecs that Python has beside the charsets; some decompress, some take a time that grows with the square."""

_FORMULA: Final = re.compile(r"\s*(?:[=@]|[+-](?!\d+(?:[.,]\d+)*\Z))|[\t\r]")
"""What a spreadsheet takes for a formula; not a number with its sign."""

csv.field_size_limit(1 << 24)


def charset_named(name: str) -> str:
    """Return Python's name of a charset. Raises `ReplyUnreadable` for what is none."""
    plain = normalize_encoding(name).lower() if name.isascii() else ""
    found = aliases.aliases.get(plain, plain)
    if found not in _charsets():
        raise ReplyUnreadable(f"the charset {name!r} is unknown")
    return found


@cache
def _charsets() -> frozenset[str]:
    import encodings  # noqa: PLC0415 - the package, for its list of modules

    return frozenset(module.name for module in iter_modules(encodings.__path__)) - _NOT_CHARSETS


def decode(content: bytes, charset: str = "utf-8") -> str:
    """Return the text. Raises `ReplyUnreadable` for an unknown charset, and for bytes that it does not know."""
    try:
        return content.decode(charset_named(charset))
    except UnicodeError as error:
        raise ReplyUnreadable(f"{_place_of(error)} {charset}: {_reason_of(error)}") from None


def _place_of(error: UnicodeError) -> str:
    return f"byte {error.start} is not" if isinstance(error, UnicodeDecodeError) else "bytes that are not"


def _reason_of(error: UnicodeError) -> str:
    return error.reason if isinstance(error, UnicodeDecodeError) else str(error)


async def stream_text(chunks: AsyncIterable[bytes], charset: str = "utf-8") -> AsyncGenerator[str, None]:
    """Decode as `decode` does, for bytes that come in chunks. Raises `ReplyUnreadable` for what is no text."""
    decoder: IncrementalDecoder = getincrementaldecoder(charset_named(charset))()
    try:
        async for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise ReplyUnreadable(f"bytes that are not {charset}: {_reason_of(error)}") from None


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


def write_csv(
    rows: Iterable[Mapping[str, Any]], names: Sequence[str], *, delimiter: str = ",", for_people: bool = False
) -> str:
    """Return the rows as CSV with a first row of names. Raises `ValueError` for a row with a name not in `names`.

    `for_people` writes an apostrophe before text that a spreadsheet would run as a formula (`=cmd|…`).
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, delimiter=delimiter)
    if for_people:
        writer.writerow({name: _harmless(name) for name in names})
        writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)
    else:
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """Return a field that a spreadsheet shows and does not run: https://owasp.org/www-community/attacks/CSV_Injection."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


async def split_lines(chunks: AsyncIterable[str], *, max_piece: int = MAX_PIECE) -> AsyncIterator[str]:
    """Yield the lines of a text that comes in chunks, without their ends.

    Raises `ReplyUnreadable` for a line of more than `max_piece` characters.
    """
    number, begun, size = 1, [], 0
    async for chunk in chunks:
        first, *others = chunk.split("\n")
        begun.append(first)
        size += len(first)
        for line in others:
            yield "".join(begun).removesuffix("\r")
            number, begun, size = number + 1, [line], len(line)
        if size > max_piece:
            raise ReplyUnreadable(f"line {number} is longer than {max_piece} characters")
    if size:
        yield "".join(begun).removesuffix("\r")


async def stream_csv(
    chunks: AsyncIterable[str], *, delimiter: str = ",", max_piece: int = MAX_PIECE
) -> AsyncIterator[dict[str, str]]:
    """As `parse_csv`, for a text that comes in chunks; a quoted field may hold several lines.

    Raises `ReplyUnreadable` as that and for a record of more than `max_piece` characters, and `ReplyTruncated` for a
    quote without its end.
    """
    source, named, started = _Source(chunks, max_piece), CsvRows(), 1
    rows = AsyncReader(source, delimiter=delimiter, strict=True)
    found: list[tuple[list[str], int]] = []
    is_over = False
    with closing(_collect(rows, found)) as collecting:
        while not is_over:
            is_over, error = _go_on(collecting)
            for row, line in found:
                for taken in named.take(row, started):
                    yield taken
                started, source.unread = line + 1, 0
            found.clear()
            if error is not None and source.has_ended:
                raise ReplyTruncated(f"CSV, line {started}: a quoted field has no end")
            if error is not None:
                raise ReplyUnreadable(f"CSV, line {rows.line_num}: {error}")
            if not is_over:
                await source.fill()


async def _collect(rows: AsyncReader, found: list[tuple[list[str], int]]) -> csv.Error | None:
    """Add rows, each with its last line, as long as there is text; return what is wrong with the text, if anything."""
    try:
        async for row in rows:
            found.append((row, rows.line_num))  # noqa: PERF401 - what came before an error counts
    except csv.Error as error:
        return error
    return None


def _go_on(collecting: Coroutine[None, None, csv.Error | None]) -> tuple[bool, csv.Error | None]:
    """Let it take the text that is there; return whether that was all, and its error.

    It is driven by hand and never waits for the network: a cancellation, and with it a timeout, would not pass through
    the reader.
    """
    try:
        collecting.send(None)
    except StopIteration as over:
        return True, over.value
    return False, None


class _Source:
    """Chunks of text as the file that the CSV reader asks for; it yields while somebody has to `fill` it."""

    def __init__(self, chunks: AsyncIterable[str], max_piece: int) -> None:
        self._chunks = aiter(chunks)
        self._max_piece = max_piece
        self._text = ""
        self._is_first = True
        self._ends_with_return = False
        self.has_ended = False
        self.unread = 0
        """Characters since the last record, those of the chunk in which it ended included."""

    async def read(self, _: int) -> str:
        while not self._text and not self.has_ended:
            await _pause()
        text, self._text = self._text, ""
        return text

    async def fill(self) -> None:
        if self.unread > self._max_piece:
            raise ReplyUnreadable(f"CSV: a record is longer than {self._max_piece} characters")
        chunk = await anext(self._chunks, None)
        if chunk is not None:
            self._take(chunk.removeprefix("\ufeff") if self._is_first else chunk)
        elif self._ends_with_return:  # else the reader would wait for the second half of \r\n, and lose the record
            self._take("\n")
        else:
            self.has_ended = True

    def _take(self, text: str) -> None:
        if text:
            self._text, self._is_first, self._ends_with_return = text, False, text.endswith("\r")
            self.unread += len(text)


@coroutine
def _pause() -> Generator[None, None, None]:
    """Give the word back to whoever drives the reader."""
    yield
