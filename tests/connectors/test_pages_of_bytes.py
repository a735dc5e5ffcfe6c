"""Second pages byte for byte: only items are published, and a batch succeeds only where the list ends."""

import itertools
import json
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from support.calls import bench
from support.listings import listing, walk

from connectors import CursorParam, LinkHeader, NextUrl, Offset, Page, PageNumber
from connectors.paging import Pages
from worker.testing import ByteService, RawRequest

FIRST = [{"id": 1}, {"id": 2}]
LAST = [{"id": 3}]
WAYS: list[Pages] = [PageNumber(size=2), Offset(size=2), CursorParam(next="next"), NextUrl(), LinkHeader()]
STATUSES = [b"200 OK", b"204 No Content", b"400 Bad Request", b"404 Not Found", b"429 Too Many", b"503 Away"]
TYPES = [b"application/json", b"application/xml", b"text/html", b""]
BODIES = [
    json.dumps({"rows": LAST}).encode(),
    json.dumps({"rows": []}).encode(),
    json.dumps({"rows": {"id": 3}}).encode(),
    json.dumps({"error": "busy"}).encode(),
    json.dumps("text").encode(),
    b"<a><rows><id>3</id></rows></a>",
    b"<html><body>Sorry</body></html>",
    b"null",
    b"",
]
CASES = [
    *itertools.product(STATUSES[:1], TYPES, BODIES),
    *itertools.product(STATUSES[1:2], TYPES, [b""]),
    *itertools.product(STATUSES[2:], TYPES[:2], [BODIES[0], BODIES[3], BODIES[6], b""]),
]
ITEMS = {json.dumps(row) for row in (*FIRST, *LAST)} | {'{"id": "3"}'}


def reply(status: bytes, kind: bytes, body: bytes, *, more: bytes = b"") -> bytes:
    typed = b"Content-Type: " + kind + b"\r\n" if kind else b""
    return b"HTTP/1.1 %s\r\n%s%sContent-Length: %d\r\n\r\n%s" % (status, typed, more, len(body), body)


async def unasked(request: web.Request) -> web.StreamResponse:
    raise AssertionError("the service of bytes is asked")


@pytest.mark.parametrize("pages", WAYS, ids=lambda pages: type(pages).__name__)
async def test_only_items_are_published_and_only_the_end_is_a_success(pages: Pages) -> None:
    begun = json.dumps({"rows": FIRST, "next": "?cursor=2"}).encode()
    first = reply(STATUSES[0], TYPES[0], begun, more=b"Link: <?cursor=2>; rel=next\r\n")
    second = b""

    def answer(request: RawRequest) -> bytes:
        return second if request.target.endswith(("page=2&per_page=2", "offset=2&limit=2", "cursor=2")) else first

    async with ByteService(answer) as service, bench(unasked) as at:
        at.url = service.url
        for status, kind, body in CASES:
            second = reply(status, kind, body)
            with capture_logs() as lines:
                items, outcome, _ = await walk(at, listing(pages, "rows"))
            case = (status, kind, body, outcome)
            assert {json.dumps(item) for item in items} <= ITEMS, case
            assert is_end(pages, status, body, lines) or not isinstance(outcome, Page), case


def is_end(pages: Pages, status: bytes, body: bytes, lines: list[Any]) -> bool:
    """Whether such a page may end the batch as a success."""
    if status[:3] in {b"400", b"404"}:
        return pages.is_numbered
    is_said = any(line["event"] == "batch_without_items" for line in lines)
    return status[:3] in {b"200", b"204"} and (is_said or body in {*BODIES[:2], BODIES[5], b""})
