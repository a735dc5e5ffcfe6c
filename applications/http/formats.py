"""Text formats: charsets, JSON, JSON lines. Each says where it broke, never what stood there.

Each takes a time that grows with the size of what it reads, whatever that is.
"""

import json
import math
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, IncrementalDecoder, getincrementaldecoder
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
)
from encodings import aliases, normalize_encoding
from functools import cache
from pkgutil import iter_modules
from typing import Any, Final, NoReturn

from pydantic_core import from_json, to_json

from applications.http.errors import ReplyUnreadable

MAX_PIECE: Final = 64 << 20
"""Characters of a line or a CSV record that is read from a stream, when no other number is given."""

_NOT_CHARSETS: Final = frozenset(
    {"aliases", "charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}
    | {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
"""Codecs that Python has beside the charsets; some decompress, some take a time that grows with the square."""

_RECORD: Final = "\x1e"

_MAY_OVERFLOW: Final = re.compile(r"\d[eE]\+?0*[1-9]\d\d|\d{300}")
_MAY_OVERFLOW_BYTES: Final = re.compile(_MAY_OVERFLOW.pattern.encode())
_ODD_NUMBER: Final = re.compile(rb"NaN|Infinity|" + _MAY_OVERFLOW.pattern.encode())


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
    """Return the text; a byte order mark of UTF-16 wins over UTF-8.

    Raises `ReplyUnreadable` for an unknown charset, and for bytes that it does not know.
    """
    try:
        return content.decode(_charset_of(content, charset_named(charset)))
    except UnicodeError as error:
        raise ReplyUnreadable(f"{_place_of(error)} {charset}: {_reason_of(error)}") from None


def _charset_of(content: bytes, named: str) -> str:
    is_other = named == "utf_8" and content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return "utf_16" if is_other else named


def _place_of(error: UnicodeError) -> str:
    return f"byte {error.start} is not" if isinstance(error, UnicodeDecodeError) else "bytes that are not"


def _reason_of(error: UnicodeError) -> str:
    return error.reason if isinstance(error, UnicodeDecodeError) else str(error)


async def stream_text(chunks: AsyncIterable[bytes], charset: str = "utf-8") -> AsyncGenerator[str, None]:
    """Decode as `decode` does, for bytes that come in chunks. Raises `ReplyUnreadable` for what is no text."""
    named, head = charset_named(charset), b""
    decoder: IncrementalDecoder | None = None
    try:
        async for chunk in chunks:
            head = b"" if decoder else head + chunk
            if decoder is None and len(head) >= len(BOM_UTF16_LE):
                decoder, chunk = getincrementaldecoder(_charset_of(head, named))(), head  # noqa: PLW2901 - with the head
            if decoder:
                yield decoder.decode(chunk)
        yield (decoder or getincrementaldecoder(named)()).decode(b"" if decoder else head, final=True)
    except UnicodeError as error:
        raise ReplyUnreadable(f"bytes that are not {charset}: {_reason_of(error)}") from None


def parse_json(text: str | bytes) -> Any:
    """Return plain values. Raises `ReplyUnreadable` with the place, also for NaN and numbers without an end."""
    if isinstance(text, bytes) and text.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        text = decode(text)
    try:
        return _from_json(text)
    except ValueError as error:
        raise ReplyUnreadable(f"not JSON: {error}") from None


def _from_json(text: str | bytes) -> Any:
    data = from_json(text, allow_inf_nan=False)
    if (_MAY_OVERFLOW if isinstance(text, str) else _MAY_OVERFLOW_BYTES).search(text):  # type: ignore[arg-type]  # both fit
        _check_finite(data)
    return data


def _check_finite(data: Any) -> None:
    left = [data]
    while left:
        match left.pop():
            case dict() as members:
                left += members.values()
            case list() as items:
                left += items
            case float() as number if math.isinf(number):
                raise ValueError("a number is larger than any that others can read")


def check_numbers(content: bytes) -> None:
    """Raise `ReplyUnreadable` where a text that shall be JSON has NaN or numbers without an end."""
    if _ODD_NUMBER.search(content):
        parse_json(content)


def write_json(data: Any) -> bytes:
    """Return data as JSON. Raises `ValueError` for NaN and infinite numbers, which are no JSON elsewhere."""
    content: bytes = to_json(data)
    if b"NaN" in content or b"Infinity" in content:
        json.loads(content, parse_constant=_refuse)  # in a text they may stand
    return content


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}: send null or a text in its place")


def parse_json_lines(text: str) -> Iterator[Any]:
    """Yield the value of each line, or of each record of a JSON text sequence (RFC 7464).

    Empty lines are skipped. Raises `ReplyUnreadable` with the line.
    """
    values = JsonLines()
    for line in text.split("\n"):
        yield from values.take(line)
    yield from values.end()


class JsonLines:
    """Turns lines into their values. A line that begins with a record separator begins a record of several lines."""

    def __init__(self) -> None:
        self._number = 0
        self._record: list[str] | None = None

    def take(self, line: str) -> Iterator[Any]:
        """Yield what ends with, or before, this line. Raises `ReplyUnreadable` with its number."""
        self._number += 1
        line = line.removeprefix("\ufeff") if self._number == 1 else line
        if _RECORD in line:
            before, *others = line.split(_RECORD)
            yield from self._add(before)
            for record in others:
                yield from self.end()
                self._record = [record]
        else:
            yield from self._add(line)

    def _add(self, line: str) -> Iterator[Any]:
        if self._record is not None:
            self._record.append(line)
        elif line.strip():
            yield self._value(line)

    def end(self) -> Iterator[Any]:
        """Yield the record that is not over yet."""
        record, self._record = "\n".join(self._record or ()), None
        if record.strip():
            yield self._value(record)

    def _value(self, text: str) -> Any:
        try:
            return _from_json(text)
        except ValueError as error:
            raise ReplyUnreadable(f"line {self._number} is not JSON: {error}") from None


def write_json_lines(items: Iterable[Any]) -> str:
    """Return the items, models or plain values, one a line."""
    return "".join(f"{write_json(item).decode()}\n" for item in items)


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
