"""Generated replies, byte for byte: status x encoding x type x length x shape of the head.

`run(count, seed)` lets actions meet them. Each message ends in an outcome whose reason names the cause, and what a
service has carried out is not asked for again. The same seed gives the same replies.
"""

import asyncio
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import brotli
from support.visits import node, visit

from applications.http.errors import CARRIED_OUT
from chaos.replies import AT_ONCE, BODIES
from connectors import Connector, Forward, Limited, Message, Outcome, Repeat, Rules, Trash
from connectors.http import Http
from worker.actions.local import local_call

TIMEOUT_SECONDS: Final = 5
MAX_BYTES: Final = 1 << 16

STATUSES: Final = (200, 200, 200, 201, 201, 202, 204, 206, 304, 400, 401, 404, 408, 409, 422, 429, 429, 500, 502, 503)
METHODS: Final = ("GET", "POST", "POST", "PATCH", "PUT", "DELETE")
CAUSES: Final = re.compile(
    r"answered \d{3}|(HeadUnreadable|ConnectionLost|ReplyTruncated|ReplyUnreadable): \S+|TimedOut"
)


def _raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


ENCODINGS: Final[tuple[tuple[str, Callable[[bytes], bytes]], ...]] = (
    *[("", bytes)] * 12, *[("gzip", gzip.compress)] * 6, ("identity", bytes), ("none", bytes),
    ("UTF-8", bytes), ("rot13", bytes),
    ("gzip", gzip.compress), ("gzip", bytes), ("gzip", lambda content: gzip.compress(content) + b"\0" * 9),
    ("gzip", lambda content: gzip.compress(content)[:-9]), ("gzip, gzip", lambda c: gzip.compress(gzip.compress(c))),
    ("deflate", zlib.compress), ("deflate", _raw_deflate), ("br", brotli.compress), ("br", bytes), ("zstd", bytes),
    ("gzip", lambda content: gzip.compress(content * 9000)),
)  # fmt: skip
LENGTHS: Final[tuple[Callable[[bytes], tuple[bytes, bytes]], ...]] = (
    *[lambda body: (b"Content-Length: %d\r\n" % len(body), body)] * 16,
    *[
        lambda body: (
            b"Transfer-Encoding: chunked\r\n",
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n",
        )
    ]
    * 2,
    lambda body: (b"", body),
    lambda body: (b"Content-Length: %d\r\n" % (len(body) + 5), body),
    lambda body: (b"Content-Length: %d\r\n" % len(body) * 2, body),
    lambda body: (b"Content-Length: 1\r\nContent-Length: 2\r\n", body),
    lambda body: (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    lambda body: (b"Content-Length: -1\r\n", body),
    lambda body: (b"Transfer-Encoding: chunked\r\n", b"5\r\nab"),
    lambda body: (b"Transfer-Encoding: chunked\r\n", b"zz\r\n"),
)
SHAPES: Final[tuple[Callable[[bytes], bytes], ...]] = (
    *[bytes] * 20,
    lambda head: head.replace(b"\r\n", b"\r\nX-Long: " + b"a" * 9000 + b"\r\n", 1),
    lambda head: head.replace(b"\r\n", b"\r\nX-Long: " + b"a" * 90_000 + b"\r\n", 1),
    lambda head: head.replace(b"\r\n", b"\r\n" + b"X: 1\r\n" * 200, 1),
    lambda head: head.replace(b"\r\n", b"\r\nX-Blank : 1\r\n", 1),
    lambda head: head.replace(b"\r\n", b"\n"),
    lambda head: head.replace(b" OK", b"", 1),
    lambda head: head.replace(b"HTTP/1.1", b"HTTP/2", 1),
    lambda head: head[: len(head) // 2],
    lambda head: head[:1],
    lambda head: b"",
)
NOTES: Final = (b"", b"", b"Retry-After: 5\r\n", b"Retry-After: soon\r\n", b"RateLimit: a;r=0;t=9\r\n")


@dataclass(frozen=True, slots=True)
class Made:
    """A reply, and what it says."""

    status: int
    content: bytes
    is_read: bool
    """Whether the head can be read, as far as its maker knows."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the messages."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


async def run(count: int, seed: int) -> Report:
    """Let actions meet so many replies. Raises `AssertionError` for each that did not end as it should."""
    report, numbers = Report(), iter(range(count))
    async with _serving(seed) as (url, asked):
        http = Http(timeout_seconds=TIMEOUT_SECONDS, max_reply_bytes=MAX_BYTES)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(count, AT_ONCE)):
                    group.create_task(_meet(numbers, http, url, seed, report, asked))
        finally:
            await http.close()
    assert not report.faults, "\n".join(report.faults)
    assert report.outcomes.total() == count
    return report


async def _meet(numbers: Any, http: Http, url: str, seed: int, report: Report, asked: Counter[int]) -> None:
    for number in numbers:
        action = Order(Random(f"{seed} {number} order").choice(METHODS))
        action.http = http
        for _ in range(3):  # as often as the message would come back
            outcome: Outcome = await local_call(action)(visit(node("next"), json.dumps(f"{url}/{number}")))
            if not isinstance(outcome, Repeat):
                break
        report.outcomes[type(outcome).__name__] += 1
        if fault := _fault(action.method, outcome, made_reply(Random(f"{seed} {number} made")), asked[number]):
            report.faults.append(f"reply {number} of seed {seed}, {action.method}: {fault}: {outcome!r}")


def _fault(method: str, outcome: Outcome, made: Made, asked: int) -> str:
    """Return what is wrong."""
    if isinstance(outcome, Forward):
        return "" if made.status < 300 else "a refusal went on"
    if not isinstance(outcome, Repeat | Limited | Trash):
        return "not an outcome of a reply"
    if not CAUSES.search(outcome.reason):
        return "the reason names no cause"
    is_done = method in {"POST", "PATCH"} and made.content and (made.status < 300 or not made.is_read)
    if is_done and asked > 1:
        return f"asked {asked} times for what was carried out"
    if (
        is_done
        and isinstance(outcome, Trash)
        and "answered" not in outcome.reason
        and CARRIED_OUT not in outcome.reason
    ):
        return "the reason does not say that it was carried out"
    return ""


class Order(Connector[Any, Any]):
    """Sends a request and reads its reply as what it says it is."""

    name = "exact"
    rules = Rules(limited="429")

    def __init__(self, method: str) -> None:
        """`method` is that of the request."""
        self.method = method

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Send and read."""
        reply = await self.service.request(self.method, message.data, json={"id": 1})
        return message.with_data(reply.data() if reply.content else None)


@asynccontextmanager
async def _serving(seed: int) -> AsyncIterator[tuple[str, Counter[int]]]:
    asked: Counter[int] = Counter()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if length := re.search(rb"(?i)content-length: *(\d+)", head):
                await reader.readexactly(int(length[1]))
            number = int(head.split(b" ", 2)[1].strip(b"/"))
            asked[number] += 1
            writer.write(made_reply(Random(f"{seed} {number} made")).content)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def made_reply(random: Random) -> Made:
    """Make a reply of one value of each kind."""
    status, (kind, body) = random.choice(STATUSES), random.choice(BODIES)
    encoding, encode = random.choice(ENCODINGS)
    framing, content = random.choice(LENGTHS)(encode(body))
    lines = [f"Content-Type: {kind}\r\n", f"Content-Encoding: {encoding}\r\n"]
    named = "".join(line for line in lines if not line.endswith(": \r\n")).encode()
    whole = b"HTTP/1.1 %d OK\r\n" % status + named + framing + random.choice(NOTES) + b"\r\n"
    head = random.choice(SHAPES)(whole)
    is_whole = head.endswith((b"\r\n\r\n", b"\n\n"))
    is_read = is_whole and framing.count(b":") <= 1 and b" :" not in head and head.startswith(b"HTTP/1.1 ")
    return Made(status, head + content if is_whole else head, is_read)
