"""Odd replies of a service: each message that meets one ends in an outcome, by the errors that are declared.

`run(count, seed)` serves them on loopback and reads them as actions do. The same seed gives the same replies.
"""

import asyncio
import gzip
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from pydantic import ValidationError
from support.visits import node, visit

from applications.errors import ApplicationError
from applications.http.errors import NeverSent, ReplyUnreadable
from connectors import Connector, Limited, Message, Outcome, Repeat, Stop, Trash
from connectors.http import Http
from worker.actions.local import local_call

TIMEOUT_SECONDS: Final = 2
AT_ONCE: Final = 20
DECLARED: Final = (Repeat, Limited, Stop, Trash, ReplyUnreadable, ValidationError, ApplicationError, NeverSent)

CHARSETS: Final = (
    "utf-8",
    "bz2",
    "zlib",
    "utf-16",
    "windows-1250",
    "idna",
    "punycode",
    "undefined",
    "\xe9",
    "'",
    "utf-7",
)
CODINGS: Final = ("", "gzip", "deflate", "x-gzip", "br", "gzip, gzip", "identity", "\xff")
STATUSES: Final = (*[200] * 20, 204, 206, 301, 302, 304, 400, 401, 404, 429, 500, 503, 599)
ODD_STATUS_LINES: Final = (
    b"HTTP/1.1 999 x",
    b"HTTP/9.9 200 OK",
    b"ICY 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.1 20",
    b"",
    b"\0",
)
ODD_VALUES: Final = (
    "",
    "-1",
    "1e999",
    "NaN",
    "9" * 40,
    "Thu, 99 Foo 2026 99:99:99 GMT",
    "\xff",
    ";;;,=",
    '"',
    "0x1",
    "  ",
)
NOTES: Final = (
    "Retry-After",
    "Link",
    "RateLimit",
    "X-RateLimit-Reset",
    "X-RateLimit-Remaining",
    "Content-Type",
    "Date",
)
PLACES: Final = (
    "/",
    "//",
    "http://",
    "http://[",
    "http://127.0.0.1:99999/",
    "ftp://a/",
    "\xff",
    "http://a:b@c:d/",
    "?%zz",
    " ",
)
PIECES: Final = (
    b'"',
    b"\0",
    b"\r",
    b"\n",
    b"<",
    b"&a;",
    b"{",
    b"[" * 300,
    b"<a>" * 2000,
    b"1e999",
    b"\xff\xfe",
    b"\xed\xa0\x80",
)

ROWS: Final = [{"id": number, "name": f"row {number}", "note": 'a "quoted", text'} for number in range(20)]
CSV: Final = b'id,name,note\r\n1,row,"a ""quoted"", text"\r\n2,"two\r\nlines",\r\n' * 3
XML: Final = b'<?xml version="1.0" encoding="utf-8"?><rows n="1"><row id="1">a</row><row id="2"><b/></row></rows>'
BODIES: Final = (
    ("application/json", json.dumps({"rows": ROWS, "message": "no", "next": "http://[", "cursor": None}).encode()),
    ("application/problem+json", b'{"title": ["a", {"b": 1}], "detail": 5, "errors": {"a": [[]]}}'),
    ("text/xml", XML),
    ("text/csv", CSV),
    ("application/x-ndjson", b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)),
    ("application/gzip", gzip.compress(b"a,b\n1,2\n") * 3),
    ("", b""),
    ("text/html", b"<html><body><p>no</body>"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the messages."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """Errors that are not declared, with what makes the reply again."""


async def run(count: int, seed: int) -> Report:
    """Let actions meet so many odd replies. Raises `AssertionError` for an error that is not declared."""
    report, numbers = Report(), iter(range(count))
    async with _serving(seed) as url:
        http = Http(timeout_seconds=TIMEOUT_SECONDS, max_reply_bytes=1 << 20)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(count, AT_ONCE)):
                    group.create_task(_meet(numbers, http, url, seed, report))
        finally:
            await http.close()
    assert not report.faults, "\n".join(report.faults)
    assert report.outcomes.total() == count
    return report


async def _meet(numbers: Any, http: Http, url: str, seed: int, report: Report) -> None:
    for number in numbers:
        action = Read(Random(f"{seed} {number} read"))
        action.http = http
        outcome: Outcome = await local_call(action)(visit(node("next"), json.dumps(f"{url}/{number}")))
        report.outcomes[type(outcome).__name__] += 1
        if action.fault is not None:
            report.faults.append(f"reply {number} of seed {seed}, {action.how}: {action.fault!r}")


class Read(Connector[Any, Any]):
    """Reads a reply in one of the ways that there are."""

    name = "read"

    def __init__(self, random: Random) -> None:
        """`random` chooses the way."""
        self.how = random.choice([*WHOLE, *PIECEWISE])
        self.fault: Exception | None = None
        self._is_gzip_file = random.random() < 0.2

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Read it, and note an error that nobody has declared."""
        try:
            if self.how in WHOLE:
                reply = await self.get(message.data)
                return message.with_data(repr(WHOLE[self.how](reply))[:1000])
            async with self.stream("GET", message.data, gunzip=self._is_gzip_file, max_bytes=1 << 20) as download:
                return message.with_data([str(item)[:100] async for item in getattr(download, self.how)()])
        except DECLARED:
            raise
        except Exception as error:
            self.fault = error
            raise


WHOLE: Final[dict[str, Callable[[Any], Any]]] = {
    "json": lambda reply: reply.json(),
    "data": lambda reply: reply.data(),
    "text": lambda reply: reply.text,
    "xml": lambda reply: reply.xml(),
    "csv of whole": lambda reply: reply.csv(),
    "lines of whole": lambda reply: reply.json_lines(),
    "gunzip": lambda reply: reply.gunzip(max_bytes=1 << 20),
    "model": lambda reply: reply.model(dict[str, Any]),
    "model at": lambda reply: reply.model(list[dict[str, Any]], at="rows"),
    "models": lambda reply: reply.models(dict[str, int], at="rows.row"),
    "link": lambda reply: reply.link("next"),
    "problem": lambda reply: reply.problem,
}
PIECEWISE: Final = ("chunks", "lines", "csv", "json_lines")


@asynccontextmanager
async def _serving(seed: int) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            number = head.split(b" ", 2)[1].strip(b"/").partition(b"/")[0]
            writer.write(odd_reply(Random(f"{seed} {number.decode('latin-1')} reply")))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def odd_reply(random: Random) -> bytes:
    """Make the bytes of a reply: most of them are nearly right."""
    kind, body = random.choice(BODIES)
    for _ in range(random.choice((0, 0, 1, 1, 2, 5))):
        body = _mutated(random, body)
    coding = random.choice(CODINGS) if random.random() < 0.1 else random.choice(("", "gzip", "deflate"))
    headers = [("Content-Type", _content_type(random, kind)), ("Content-Encoding", coding)]
    headers += [(random.choice(NOTES), random.choice(ODD_VALUES)) for _ in range(random.choice((0, 0, 1, 3)))]
    status = random.choice(STATUSES)
    if status in {301, 302}:
        headers.append(("Location", random.choice(PLACES)))
    framing, content = _framed(random, _coded(random, coding, body))
    lines = [f"{name}: {value}".encode("latin-1") for name, value in headers + framing if value]
    line = random.choice(ODD_STATUS_LINES) if random.random() < 0.05 else b"HTTP/1.1 %d OK" % status
    head = b"\r\n".join([line, *lines]) + b"\r\n\r\n"
    return (_mutated(random, head) if random.random() < 0.1 else head) + content


def _content_type(random: Random, kind: str) -> str:
    if random.random() < 0.1:
        return random.choice(ODD_VALUES)
    return f"{kind}; charset={random.choice(CHARSETS)}" if random.random() < 0.2 else kind


def _coded(random: Random, coding: str, body: bytes) -> bytes:
    if not coding or random.random() < 0.2:
        return body
    packed = zlib.compress(body) if coding == "deflate" else gzip.compress(body) * random.choice((1, 1, 1, 2, 50))
    return _mutated(random, packed) if random.random() < 0.2 else packed


def _framed(random: Random, body: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """Say how long the body is, mostly rightly."""
    choice = random.random()
    if choice < 0.6:
        return [("Content-Length", str(len(body)))], body
    if choice < 0.9:
        chunks = b"".join(
            b"%x\r\n%s\r\n" % (len(body[at : at + 50]), body[at : at + 50]) for at in range(0, len(body), 50)
        )
        ended = chunks + random.choice((*[b"0\r\n\r\n"] * 8, b"", b"zz\r\n", b"-1\r\n", b"f" * 20 + b"\r\n"))
        return [("Transfer-Encoding", "chunked")], ended
    if choice < 0.96:
        return [("Content-Length", random.choice((*ODD_VALUES, "1", str(len(body) + 5), f"{len(body)}, 3")))], body
    if choice < 0.98:
        return [("Content-Length", "5"), ("Transfer-Encoding", "chunked")], body
    return [], body


def _mutated(random: Random, content: bytes) -> bytes:
    at, to = sorted((random.randint(0, len(content)), random.randint(0, len(content))))
    match random.randrange(4):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + random.choice(PIECES) + content[at:]
        case 2:
            return content[:at] + content[at:to] * random.choice((0, 2, 20)) + content[to:]
    return content[:at] + random.randbytes(min(to - at, 8)) + content[to:]
