"""Whatever a body holds: reading it gives values or the declared error, in a time that grows with its size."""

import asyncio
import encodings
import gzip
import pkgutil
import zlib
from codecs import lookup
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from applications.http import csv_rows, formats
from applications.http.compression import GZIP, Inflater, gunzip, stream_gunzip
from applications.http.errors import ReplyTruncated, ReplyUnreadable
from applications.http.response import Response
from applications.http.xml import parse_xml, xml_data

CHARSETS = [*sorted(module.name for module in pkgutil.iter_modules(encodings.__path__)), "UTF-8", "windows-1250", "é"]
WITH_MARK = {"utf_16", "utf_32"}
"""Charsets that say by their first bytes how the others are read; in pieces they have to."""
KINDS = ("application/json", "text/xml", "text/csv", "application/x-ndjson", "")
PIECES = st.sampled_from([*"\"',;<>[]{}&!?=-/\r\n\t a1", "\0", "é", "\ufeff", "<a>", "</a>", '{"a":', "1e999", "NaN"])
BODIES = st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=40).map(lambda parts: "".join(parts).encode()))
LARGE = 6
"""How many times as large the second of two bodies is; what is quadratic takes 36 times as long."""


async def chunks_of(content: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read_all(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def response(content: bytes, content_type: str) -> Response:
    return Response("GET", "http://localhost/", 200, {"content-type": content_type}, content)


@given(BODIES, st.sampled_from(KINDS), st.sampled_from(CHARSETS))
@settings(max_examples=400)
def test_a_whole_body_is_read_or_unreadable(content: bytes, kind: str, charset: str) -> None:
    reply = response(content, f"{kind}; charset={charset}")
    for read in (reply.data, reply.csv, reply.json_lines, reply.xml, reply.gunzip, lambda: reply.text):
        with suppress(ReplyUnreadable):
            read()
    assert isinstance(reply.problem, str)


@given(BODIES, st.sampled_from([name for name in CHARSETS if name not in WITH_MARK]), st.integers(1, 9))
@settings(max_examples=300)
def test_a_body_in_pieces_is_read_as_the_whole_one(content: bytes, charset: str, size: int) -> None:
    def text() -> AsyncIterator[str]:
        return formats.stream_text(chunks_of(content, size), charset)

    assert outcome(lambda: list(csv_rows.parse_csv(formats.decode(content, charset)))) == outcome(
        lambda: asyncio.run(read_all(csv_rows.stream_csv(text())))
    )
    lines = outcome(lambda: asyncio.run(read_all(formats.split_lines(text()))))
    assert lines is None or len(lines) <= len(content)


@given(st.lists(st.binary(max_size=20), max_size=5), BODIES, st.integers(1, 9))
@settings(max_examples=200)
def test_gzip_in_pieces_is_read_as_the_whole_one(members: list[bytes], rest: bytes, size: int) -> None:
    content = b"".join(map(gzip.compress, members)) + rest
    whole = outcome(lambda: gunzip(content, max_bytes=1 << 20))
    assert whole == outcome(lambda: b"".join(asyncio.run(read_all(stream_gunzip(chunks_of(content, size))))))
    assert rest or whole == b"".join(members)


def outcome(read: Callable[[], Any]) -> Any:
    """Return what is read, None when it is unreadable."""
    try:
        return read()
    except ReplyUnreadable:
        return None


def test_charsets_are_those_of_python_that_make_text() -> None:
    """The others decompress, look names up, or take a time that grows with the square."""
    known = {name for name in CHARSETS if outcome(lambda name=name: formats.charset_named(name))}
    refused = {name for name in set(CHARSETS) - known if is_text(name)}
    assert refused == {"charmap", "idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}
    assert all(is_text(name) for name in known)


def is_text(name: str) -> bool:
    try:
        return lookup(name)._is_text_encoding  # type: ignore[attr-defined]  # Python's own word for it
    except (LookupError, ImportError):
        return False


async def test_a_charset_is_no_way_to_decompress() -> None:
    for charset in ("bz2", "zlib", "hex", "rot13", "base64"):
        with pytest.raises(ReplyUnreadable, match=f"the charset '{charset}' is unknown"):
            await read_all(formats.stream_text(chunks_of(b"abc"), charset))
        with pytest.raises(ReplyUnreadable, match="unknown"):
            formats.decode(b"abc", charset)


@pytest.mark.parametrize("kind", ["text/xml", "application/json", "application/x-ndjson"])
def test_what_is_nested_too_deep_is_unreadable(kind: str) -> None:
    opening, closing = (b"<a>", b"</a>") if kind == "text/xml" else (b"[", b"]")
    for depth in (300, 5_000, 100_000):
        with pytest.raises(ReplyUnreadable):
            response(opening * depth + closing * depth, kind).data()
    assert response(opening * 90 + closing * 90, kind).model(Any) is not None


def test_a_namespace_is_not_copied_for_each_element() -> None:
    with pytest.raises(ReplyUnreadable, match="longer than 2048"):
        parse_xml(b'<a xmlns="%s">%s</a>' % (b"n" * 100_000, b"<b/>" * 1000))


EMPTY_MEMBER = gzip.compress(b"")


async def read_stray_quote(size: int) -> None:
    with suppress(ReplyUnreadable):
        await read_all(csv_rows.stream_csv(formats.stream_text(chunks_of(b'a,b\n1,"' + b"x\n" * size, 512))))


async def read_line_without_end(size: int) -> None:
    await read_all(formats.split_lines(formats.stream_text(chunks_of(b"xy" * size, 512))))


async def read_many_lines(size: int) -> None:
    await read_all(csv_rows.stream_csv(formats.stream_text(chunks_of(b"ab\n" * size, 512))))


async def read_empty_members(size: int) -> None:
    list(Inflater(GZIP).feed(EMPTY_MEMBER * (size // 4)))


async def read_deflated(size: int) -> None:
    list(Inflater(zlib.MAX_WBITS).feed(zlib.compress(b"xy" * size)))


async def read_wide_xml(size: int) -> None:
    xml_data(parse_xml(b"<a>" + b'<b c="1"/>' * (size // 8) + b"</a>"))


@pytest.mark.timing
@pytest.mark.parametrize(
    "read",
    [read_stray_quote, read_line_without_end, read_many_lines, read_empty_members, read_deflated, read_wide_xml],
)
async def test_time_grows_with_the_size(read: Callable[[int], Any]) -> None:
    async def cost(size: int) -> float:
        costs = []
        for _ in range(3):
            started = thread_time()
            await read(size)
            costs.append(thread_time() - started)
        return min(costs)

    small, large = 8_000, 8_000 * LARGE
    assert await cost(large) < await cost(small) * LARGE * 2.5


def test_max_bytes_counts_what_is_compressed_and_its_members_as_well() -> None:
    with pytest.raises(ReplyUnreadable, match="larger than 100000 bytes"):
        gunzip(EMPTY_MEMBER * 1000, max_bytes=100_000)
    with pytest.raises(ReplyUnreadable, match="larger than 100 bytes"):
        gunzip(gzip.compress(b"\0" * 101), max_bytes=100)
    assert gunzip(gzip.compress(b"x") * 90, max_bytes=100_000) == b"x" * 90
    assert not issubclass(ReplyUnreadable, ReplyTruncated)


async def test_a_line_and_a_record_are_bounded() -> None:
    async def of(text: str) -> AsyncIterator[str]:
        for start in range(0, len(text), 100):
            yield text[start : start + 100]

    with pytest.raises(ReplyUnreadable, match="line 2 is longer than 500 characters"):
        await read_all(formats.split_lines(of("a\n" + "b" * 1000), max_piece=500))
    for record in ("," * 1000, '"' + "b\n" * 1000):
        with pytest.raises(ReplyUnreadable, match="record is longer than 500 characters"):
            await read_all(csv_rows.stream_csv(of(record), max_piece=500))
    assert len(await read_all(csv_rows.stream_csv(of("ab\n" * 5000), max_piece=500))) == 4999


@pytest.mark.parametrize("value", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", " =1"])
def test_a_formula_is_escaped_for_people(value: str) -> None:
    assert f"'{value}" in csv_rows.write_csv([{"a": value}], ["a"], for_people=True)
    assert f"'{value}" not in csv_rows.write_csv([{"a": value}], ["a"])


def test_numbers_and_text_are_no_formulas() -> None:
    rows = [{"a": value} for value in ("-5", "+420.5", -5, "a=b", "", None)]
    assert csv_rows.write_csv(rows, ["a"], for_people=True) == csv_rows.write_csv(rows, ["a"])


async def test_a_timeout_between_rows_ends_what_is_read_and_nothing_else() -> None:
    """The reader of CSV hands on no cancellation: what waits below it would never hear of one."""
    is_closed = asyncio.Event()

    async def text() -> AsyncIterator[str]:
        yield "a,b\n1,2\n"
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        finally:
            is_closed.set()

    rows = csv_rows.stream_csv(text())
    assert await anext(rows) == {"a": "1", "b": "2"}
    with pytest.raises(TimeoutError):
        await anext(rows)
    assert is_closed.is_set()
