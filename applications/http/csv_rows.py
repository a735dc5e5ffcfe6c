"""CSV: whole or piece by piece, read and written. Each error says where it broke, never what stood there.

Each takes a time that grows with the size of what it reads, whatever that is.
"""

import csv
import io
import re
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from types import coroutine
from typing import Any, Final

from aiocsv import AsyncReader

from applications.http.errors import ReplyTruncated, ReplyUnreadable
from applications.http.formats import MAX_PIECE

_SEPARATOR: Final = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_LONGEST_SEPARATOR: Final = 9
_FORMULA: Final = re.compile(r"\s*(?:[=@]|[+-](?!\d+(?:[.,]\d+)*\Z))|[\t\r]")
"""What a spreadsheet takes for a formula; not a number with its sign."""

csv.field_size_limit(1 << 24)


def parse_csv(text: str, *, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Yield each row by the names of the first; a line `sep=;` before that wins over `delimiter`.

    Raises `ReplyUnreadable` for a row that is too short or too long.
    """
    delimiter, text = _separated(text, delimiter)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    reader = CsvRows()
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise ReplyUnreadable(f"CSV, line {rows.line_num}: {error}") from None
        yield from reader.take(row, rows.line_num)


def _separated(text: str, delimiter: str) -> tuple[str, str]:
    """Return the delimiter that the first line names, as Excel has it, else the one that is given; and the rest."""
    text = text.removeprefix("\ufeff")
    found = _SEPARATOR.match(text)
    return (found[1], text[found.end() :]) if found else (delimiter, text)


def _may_name_separator(text: str) -> bool:
    """Whether more text has to come before it is known if the first line names a delimiter."""
    begun = text.removeprefix("\ufeff").lower()
    is_begun = any(begun.startswith(whole[: len(begun)]) for whole in ("sep=", '"sep='))
    return is_begun and len(begun) < _LONGEST_SEPARATOR


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


async def stream_csv(
    chunks: AsyncIterable[str], *, delimiter: str = ",", max_piece: int = MAX_PIECE
) -> AsyncIterator[dict[str, str]]:
    """As `parse_csv`, for a text that comes in chunks; a quoted field may hold several lines.

    Raises `ReplyUnreadable` as that and for a record of more than `max_piece` characters, and `ReplyTruncated` for a
    quote without its end.
    """
    source, named, started = _Source(chunks, max_piece), CsvRows(), 1
    delimiter = await source.begin(delimiter)
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
        self._ends_with_return = False
        self.has_ended = False
        self.unread = 0
        """Characters since the last record, those of the chunk in which it ended included."""

    async def begin(self, delimiter: str) -> str:
        """Return the delimiter that the first line names, else the one that is given."""
        text = ""
        while not text or _may_name_separator(text):
            chunk = await anext(self._chunks, None)
            if chunk is None:
                break
            text += chunk
        delimiter, rest = _separated(text, delimiter)
        self._take(rest)
        return delimiter

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
            self._take(chunk)
        elif self._ends_with_return:  # else the reader would wait for the second half of \r\n, and lose the record
            self._take("\n")
        else:
            self.has_ended = True

    def _take(self, text: str) -> None:
        if text:
            self._text, self._ends_with_return = text, text.endswith("\r")
            self.unread += len(text)


@coroutine
def _pause() -> Generator[None, None, None]:
    """Give the word back to whoever drives the reader."""
    yield
