"""Ready ways of paging, their ends and their circles."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from support.calls import bench
from support.listings import Shop, listing, walk

from applications.http.response import Head
from connectors import (
    Batch,
    CursorParam,
    LinkHeader,
    Message,
    NextUrl,
    Offset,
    Page,
    PageNumber,
    Trash,
)
from connectors.paging import Pages

ROWS = [{"id": number} for number in range(1, 8)]


def paged(reply: Callable[[web.Request, list[Any], int], web.Response], param: str, size: int = 3) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        start = int(request.query.get(param, 0))
        return reply(request, ROWS[start : start + size], start + size)

    return answer


def plain(request: web.Request, rows: list[Any], after: int) -> web.Response:
    return web.json_response(rows)


def with_next(request: web.Request, rows: list[Any], after: int) -> web.Response:
    more = after < len(ROWS)
    url = f"{request.scheme}://{request.host}/{request.path[1:]}?start={after}&keep=1"
    return web.json_response(
        {
            "rows": rows,
            "meta": {"after": str(after) if more else "", "next": url if more else None, "total": len(ROWS)},
        },
        headers={"Link": f'<http://x/?a>; rel="first", <{url}>; rel="next last"'} if more else {},
    )


async def test_page_numbers() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        page, size = int(request.query["page"]), int(request.query["per_page"])
        return web.json_response(ROWS[(page - 1) * size : page * size])

    async with bench(answer) as at:
        items, _, cursors = await walk(at, listing(PageNumber(size=3)))
    assert (items, cursors) == (ROWS, ["2", "3", None])


async def test_page_numbers_with_a_total() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        page = int(request.query["p"])
        return web.json_response({"rows": [page], "pages": 2})

    async with bench(answer) as at:
        items, _, cursors = await walk(at, listing(PageNumber(param="p", start=0, total_pages="pages"), "rows"))
    assert (items, cursors) == ([0, 1], ["1", None])


async def test_offsets() -> None:
    async with bench(paged(plain, "offset")) as at:
        items, _, cursors = await walk(at, listing(Offset(size=3)))
        assert (items, cursors) == (ROWS, ["3", "6", None])
    async with bench(paged(with_next, "offset", size=2)) as at:
        items, _, cursors = await walk(at, listing(Offset(size=50, total="meta.total"), "rows"))
        assert (items, cursors) == (ROWS, ["2", "4", "6", None])


async def test_cursors_of_the_reply() -> None:
    async with bench(paged(with_next, "start")) as at:
        pages = CursorParam(next="meta.after", param="start", size_param="limit")
        items, _, cursors = await walk(at, listing(pages, "rows", query={"sort": "id"}))
    assert (items, cursors) == (ROWS, ["3", "6", None])


@pytest.mark.parametrize("pages", [NextUrl(next="meta.next"), LinkHeader(size_param="limit")])
async def test_urls_of_the_reply(pages: Pages) -> None:
    async with bench(paged(with_next, "start")) as at:
        items, _, cursors = await walk(at, listing(pages, "rows", query={"sort": "id"}))
        assert items == ROWS
        assert cursors == [f"{at.url}/rows?start=3&keep=1", f"{at.url}/rows?start=6&keep=1", None]


async def test_a_batch_of_ones_own_pages_the_same_way() -> None:
    class Own(Batch[Any, Any]):
        name = "own"
        application = Shop

        async def page(self, message: Message[Any], cursor: str | None) -> Page:
            return await self.read_page(message, cursor, Offset(size=3), "/{list}", params={"sort": "id"})

    async with bench(paged(plain, "offset")) as at:
        assert (await walk(at, Own()))[0] == ROWS


async def test_a_service_that_ignores_the_parameter_is_noticed_at_the_second_page() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(ROWS[:3])

    async with bench(answer) as at:
        items, outcome, _ = await walk(at, listing(PageNumber(size=3)))
        assert items == ROWS[:3]
        assert isinstance(outcome, Trash)
        assert "page 2 holds the same 3 items as an earlier one" in outcome.reason
        allowed = listing(PageNumber(size=3, may_repeat=True, max_pages=4))
        items, outcome, _ = await walk(at, allowed)
    assert len(items) == 9
    assert "no end after 4 pages; allow more with max_pages" in outcome.reason


@pytest.mark.parametrize("circle", [1, 2, 3, 5])
async def test_cursors_that_go_round_are_noticed_and_no_page_is_published_twice_over(circle: int) -> None:
    steps: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        at = int(request.query.get("cursor", 0))
        steps.append(len(steps))
        following = at + 1 if at < 2 + circle else 3
        return web.json_response({"rows": [{"at": at, "call": steps[-1]}], "next": following})

    async with bench(answer) as at:
        _, outcome, _ = await walk(at, listing(CursorParam(next="next"), "rows"), most=100)
    assert isinstance(outcome, Trash)
    assert "the pages go round in a circle" in outcome.reason
    assert len(steps) < 3 * (3 + circle)


async def test_pages_that_take_turns_behind_ever_new_cursors_are_noticed() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        at = int(request.query.get("cursor", 0))
        return web.json_response({"rows": [{"at": at % 2}], "next": at + 1})

    async with bench(answer) as at:
        items, outcome, _ = await walk(at, listing(CursorParam(next="next"), "rows"))
    assert isinstance(outcome, Trash)
    assert "page 4 holds the same 1 items as an earlier one" in outcome.reason
    assert [item["at"] for item in items] == [0, 1, 0]


async def test_pages_without_end_are_ended_at_a_hundred_thousand() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": [request.query.get("cursor")], "next": "more"})

    async with bench(answer) as at:
        last: Any = await at.call(
            listing(CursorParam(next="next"), "rows"), {"list": "rows"}, cursor_trail='{"page": 99999}'
        )
        assert last.next_cursor == "more"
        over: Any = await at.call(
            listing(CursorParam(next="next"), "rows"), {"list": "rows"}, cursor_trail='{"page": 100000}'
        )
    assert "no end after 100000 pages" in over.reason


async def test_an_empty_page_ends_offsets_although_the_total_promises_more() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        rows = ROWS[:2] if request.query["offset"] == "0" else []
        return web.json_response({"rows": rows, "total": 7})

    async with bench(answer) as at:
        items, _, cursors = await walk(at, listing(Offset(total="total"), "rows"))
    assert (items, cursors) == (ROWS[:2], ["2", None])


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ('</2>; rel="next"', "/2"),
        ("</2>; rel=next", "/2"),
        ("</2>;rel=next,</3>;rel=last", "/2"),
        ('</1>; rel="prev", </2>; title="of pages, <all>; rel=prev"; rel="last NEXT"', "/2"),
        ('</2>; REL="next"', "/2"),
        ("</2>; crossorigin; Rel = Next", "/2"),
        ('</1>; title="rel=next"; rel="prev"', None),
        ('</1>; title="\\"; rel=next"; rel="prev"', None),
        ("</1>; rel=prev; rel=next", None),
        ('</1>; rel="nextpage"', None),
        ('</1>; rel="page-next"', None),
        ('</1>; rev="next"', None),
        ("/2; rel=next", None),
        ("", None),
    ],
)
def test_links_are_read_as_rfc_8288_writes_them(link: str, found: str | None) -> None:
    assert Head("GET", "http://shop.invalid/1", 200, {"link": link}).link("next") == found


@pytest.mark.timing
@pytest.mark.parametrize("link", ["<" * 60_000, "<a>" + ";" * 60_000, '<a>;a="' * 9_000, "<a>" + " " * 60_000])
def test_a_long_broken_link_takes_no_time(link: str) -> None:
    started = time.process_time()
    assert Head("GET", "http://shop.invalid/1", 200, {"link": link}).link("next") is None
    assert time.process_time() - started < 1


async def test_empty_pages_with_a_cursor_are_no_circle() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        at = int(request.query.get("cursor", 0))
        return web.json_response({"rows": [], "next": at + 1 if at < 9 else None})

    async with bench(answer) as at:
        assert len((await walk(at, listing(CursorParam(next="next"), "rows")))[2]) == 10


async def test_the_next_page_is_never_asked_of_another_service() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": [1], "next": "http://evil.invalid/rows"})

    async with bench(answer) as at:
        items, outcome, _ = await walk(at, listing(NextUrl(), "rows"))
        assert items == [1]
        assert isinstance(outcome, Trash)
        assert f"the next page is at http://evil.invalid, which is not {at.url}" in outcome.reason
    assert len(at.calls) == 1


async def test_a_url_of_the_reply_may_be_relative() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        page = int(request.query.get("page", 1))
        return web.json_response({"rows": [page], "next": ["?page=2", "/v1/rows?page=3", None][page - 1]})

    async with bench(answer, path="/v1") as at:
        items, _, cursors = await walk(at, listing(NextUrl(), "rows"))
    assert items == [1, 2, 3]
    assert cursors == [f"{at.url}/v1/rows?page=2", f"{at.url}/v1/rows?page=3", None]


async def test_a_cursor_that_the_service_no_longer_takes() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "cursor" in request.query:
            return web.json_response({"message": "cursor expired"}, status=410)
        return web.json_response({"rows": ROWS[:3], "next": "abc"})

    async with bench(answer) as at:
        _, outcome, _ = await walk(at, listing(CursorParam(next="next"), "rows"))
        assert isinstance(outcome, Trash)
        assert "page 2, whose cursor may have expired: GET" in outcome.reason
        assert "answered 410: cursor expired" in outcome.reason
        _, outcome, cursors = await walk(at, listing(CursorParam(next="next", restart_on="410"), "rows"))
    assert cursors == ["abc", "", "abc", "", "abc", "", "abc"]
    assert "the cursor expired before the last page, 4 times" in outcome.reason


async def test_a_cursor_that_others_wrote_is_taken_as_it_is() -> None:
    async with bench(paged(plain, "offset")) as at:
        page: Any = await at.call(listing(Offset(size=3)), {"list": "rows"}, cursor="3")
        assert (page.items, page.next_cursor) == (ROWS[3:6], "6")
        assert json.loads(page.trail)["page"] == 2
        broken: Any = await at.call(listing(Offset(size=3)), {"list": "rows"}, cursor="3", cursor_trail="{")
        assert broken.items == ROWS[3:6]
