"""PHP's serialization, as far as JSON has values for it: what the platform encrypts.

Lists and objects are both arrays there: an array whose keys are 0, 1, 2, ... is read as a list, so an empty object
comes back as an empty list.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

_MOST_EXACT: Final = 2**53
"""Whole numbers up to here are the same in JavaScript, whose numbers are all floats."""
_EXPONENT_FROM: Final = 21
"""Of whole numbers below 10 to this, JavaScript writes all digits."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_DEEPEST: Final = 256
_NUMBER: Final = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_NOT_FINITE: Final = frozenset({b"NAN", b"INF", b"INFINITY", b"-INF", b"-INFINITY"})


def write(value: Any) -> bytes:
    """Return a JSON value serialized, so that Node.js and PHP read it. Raises `ValueError` for NaN and infinity."""
    return b"".join(_written(value, _DEEPEST))


def read(text: bytes) -> Any:
    """Return the value. Raises `ValueError` for anything else than one whole value."""
    value, end = _Reader(text).value(0, _DEEPEST)
    if end != len(text):
        raise ValueError(f"{len(text) - end} bytes follow the value")
    return value


def _written(value: Any, levels: int) -> Iterator[bytes]:
    match value:
        case None:
            yield b"N;"
        case bool():
            yield b"b:%d;" % value
        case int() | float():
            yield _number(value)
        case str():
            yield _text(value)
        case list() | tuple():
            yield from _array([(b"i:%d;" % at, one) for at, one in enumerate(value)], levels)
        case dict():
            yield from _array([(_text(str(key)), one) for key, one in value.items()], levels)
        case _:
            raise ValueError(f"{type(value).__name__} is no JSON value")


def _array(pairs: list[tuple[bytes, Any]], levels: int) -> Iterator[bytes]:
    if not levels:
        raise ValueError(f"nested deeper than {_DEEPEST} levels")
    yield b"a:%d:{" % len(pairs)
    for key, value in pairs:
        yield key
        yield from _written(value, levels - 1)
    yield b"}"


def _text(text: str) -> bytes:
    raw = _SURROGATES.sub("\ufffd", text).encode()
    return b's:%d:"%s";' % (len(raw), raw)


def _number(value: float) -> bytes:
    """Return a number as JavaScript knows it; with an exponent always with a dot, which Node.js reads only so."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON has no {value}")
    if abs(value) <= _MOST_EXACT and value == int(value):
        return b"i:%d;" % int(value)
    try:
        mantissa, exponent, power = repr(float(value)).partition("e")
    except OverflowError:
        raise ValueError("a whole number is larger than any in JavaScript") from None
    if not exponent and mantissa.endswith(".0"):
        return f"i:{mantissa[:-2]};".encode()
    if not exponent:
        return f"d:{mantissa};".encode()
    if 0 < int(power) < _EXPONENT_FROM:
        return f"i:{Decimal(repr(float(value))):f};".encode()
    return f"d:{mantissa if '.' in mantissa else mantissa + '.0'}E{int(power):+d};".encode()


class _Reader:
    """Reads at a place, and says where it has come to."""

    def __init__(self, text: bytes) -> None:
        self._raw = text

    def value(self, at: int, levels: int) -> tuple[Any, int]:
        kind = self._raw[at : at + 2]
        match kind:
            case b"N;":
                return None, at + 2
            case b"b:":
                text, end = self._until(b";", at + 2)
                return text == b"1", end
            case b"i:" | b"d:":
                text, end = self._until(b";", at + 2)
                return _read_number(text), end
            case b"s:":
                return self._text(at + 2)
            case b"a:":
                return self._array(at + 2, levels)
        raise ValueError(f"byte {at} begins no value")

    def _text(self, at: int) -> tuple[str, int]:
        size, start = self._until(b":", at)
        first, end = start + 1, start + 1 + _size(size)
        if self._raw[start:first] != b'"' or self._raw[end : end + 2] != b'";':
            raise ValueError(f"the text at byte {at} has another length")
        return self._raw[first:end].decode(), end + 2

    def _array(self, at: int, levels: int) -> tuple[Any, int]:
        if not levels:
            raise ValueError(f"nested deeper than {_DEEPEST} levels")
        size, start = self._until(b":", at)
        found, end = {}, start + 1
        for _ in range(_size(size)):
            key, end = self.value(end, 0)
            found[key], end = self.value(end, levels - 1)
        if self._raw[start : start + 1] != b"{" or self._raw[end : end + 1] != b"}":
            raise ValueError(f"the array at byte {at} has another length")
        return _list_or_object(found), end + 1

    def _until(self, mark: bytes, at: int) -> tuple[bytes, int]:
        end = self._raw.find(mark, at)
        if end < 0:
            raise ValueError(f"cut off after byte {at}")
        return self._raw[at:end], end + 1


def _list_or_object(found: dict[Any, Any]) -> list[Any] | dict[str, Any]:
    if all(type(key) is int and key == at for at, key in enumerate(found)):
        return list(found.values())
    return {str(key): value for key, value in found.items()}


def _size(text: bytes) -> int:
    if not text.isdigit():
        raise ValueError("a length is no number")
    return int(text)


def _read_number(text: bytes) -> float | None:
    """Return the number, None for one that JSON has none for: it would spoil the whole document."""
    if text in _NOT_FINITE:
        return None
    if not _NUMBER.fullmatch(text):
        raise ValueError("a number is none")
    number = int(text) if text.lstrip(b"+-").isdigit() else float(text)
    return number if math.isfinite(number) else None
