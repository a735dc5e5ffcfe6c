"""What services send where a list should lie, and how their lists end: nothing is published that was no item, and no
batch ends before its data does without a word.
"""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from support.calls import bench
from support.listings import listing, shop, walk

from connectors import (
    Connection,
    CursorParam,
    LinkHeader,
    NextUrl,
    Offset,
    Page,
    PageNumber,
    Rules,
    Trash,
    repeat_when,
    trash_when,
)
from connectors.outcome import Repeat
from connectors.paging import Pages

ROWS = [{"id": number} for number in range(1, 8)]
XML = "application/xml"


async def first_page(body: str, at: str, kind: str = "application/json", **more: Any) -> tuple[Any, list[str]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type=kind)

    async with bench(answer) as bound:
        with capture_logs() as lines:
            outcome = await bound.call(listing(PageNumber(**more), at), {"list": "rows"})
    return outcome, [line["event"] for line in lines if line["log_level"] == "warning"]


@pytest.mark.parametrize(
    ("body", "at", "reason"),
    [
        ('{"error": "busy"}', "$", "at its root lies an object, not a list of items"),
        ('{"rows": [1]}', "$", "at its root lies an object, not a list of items; a list lies at 'rows'"),
        ('"text"', "$", "at its root lies a text, not a list"),
        ("7", "$", "at its root lies a number, not a list"),
        ("true", "$", "at its root lies true or false, not a list"),
        ('{"rows": {"id": 1}}', "rows", "at 'rows' lies an object, not a list"),
        ('{"rows": "none"}', "rows", "at 'rows' lies a text, not a list"),
        ('{"rows": ""}', "rows", "at 'rows' lies a text, not a list"),
        ('{"rows": 0}', "rows", "at 'rows' lies a number, not a list"),
        ('{"rows": false}', "rows", "at 'rows' lies true or false, not a list"),
        ('{"error": "busy"}', "rows", "at 'rows' lies nothing, and the reply has 'error': error: busy"),
        ('{"errors": [{"code": 7}]}', "data.rows", "the reply has 'errors'"),
        ('{"fault": {"text": "busy"}, "data": {}}', "data.rows", "the reply has 'fault'"),
    ],
)
async def test_what_is_no_list_is_unreadable_with_place_and_kind(body: str, at: str, reason: str) -> None:
    outcome, _ = await first_page(body, at)
    assert isinstance(outcome, Trash)
    assert reason in outcome.reason


@pytest.mark.parametrize(
    ("body", "at", "items"),
    [
        ("<rows><row><id>1</id></row></rows>", "row", [{"id": "1"}]),
        ("<rows><row><id>1</id></row><row><id>2</id></row></rows>", "row", [{"id": "1"}, {"id": "2"}]),
        ("<ids><id>seven</id></ids>", "id", ["seven"]),
        ("<a><rows><row id='1'/></rows></a>", "rows.row", [{"@id": "1"}]),
        ("<rows/>", "row", []),
        ("<rows total='0'/>", "row", []),
        ("<a><rows/></a>", "rows.row", []),
    ],
)
async def test_one_item_in_xml_is_a_list_of_one(body: str, at: str, items: list[Any]) -> None:
    page, warnings = await first_page(body, at, XML)
    assert (page.items, page.next_cursor, warnings) == (items, None, [])


@pytest.mark.parametrize(
    "body", ["<error><text>busy</text></error>", "<rows>busy</rows>", "<a><rows><row/></rows></a>"]
)
async def test_the_root_of_xml_is_no_item(body: str) -> None:
    outcome, _ = await first_page(body, "$", XML)
    assert "at its root lies" in outcome.reason
    assert "name the element that occurs once for each item" in outcome.reason


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{}", "application/json"),
        ('{"meta": {}}', "application/json"),
        ('{"error": null, "errors": []}', "application/json"),
        ("<rows><message>none</message></rows>", XML),
    ],
)
async def test_a_list_that_is_missing_is_said_unless_it_may_be(body: str, kind: str) -> None:
    page, warnings = await first_page(body, "rows", kind)
    assert (page.items, warnings) == ([], ["batch_without_items"])
    page, warnings = await first_page(body, "rows", kind, may_lack_items=True)
    assert (page.items, warnings) == ([], [])


async def test_null_is_an_empty_list() -> None:
    page, warnings = await first_page('{"rows": null}', "rows")
    assert (page.items, page.next_cursor, warnings) == ([], None, [])


async def test_that_it_is_missing_is_said_once_for_all_pages() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"next": {"1": "2", "2": "3"}.get(request.query.get("cursor", "1"))})

    async with bench(answer) as at:
        with capture_logs() as lines:
            items, _, cursors = await walk(at, listing(CursorParam(next="next"), "rows"))
    assert (items, cursors) == ([], ["2", "3", None])
    assert [line["event"] for line in lines] == ["batch_without_items"]


Beyond = Callable[[list[Any]], web.Response]


def numbered(beyond: Beyond, rows: int = 6, most: int = 100) -> Any:
    """A service whose lists are taken apart by number or offset, and what it says behind the last item."""

    async def answer(request: web.Request) -> web.StreamResponse:
        query = request.query
        size = min(int(query.get("per_page") or query["limit"]), most)
        start = int(query["offset"]) if "offset" in query else (int(query["page"]) - 1) * size
        shown = ROWS[:rows][start : start + size]
        return web.json_response(shown) if shown else beyond(ROWS[:rows][-size:])

    return answer


WAYS = [PageNumber(size=3), Offset(size=3)]


@pytest.mark.parametrize("pages", WAYS)
@pytest.mark.parametrize(
    "beyond",
    [
        lambda _: web.json_response([]),
        lambda _: web.Response(status=204),
        lambda _: web.Response(text=""),
        lambda _: web.Response(text="\r\n", content_type="application/json"),
        lambda _: web.json_response({"message": "no such page"}, status=404),
        lambda _: web.Response(text="<html>", status=404),
        lambda _: web.json_response({"code": "invalid_page_number"}, status=400),
        web.json_response,
    ],
)
async def test_what_is_behind_the_last_page_ends_the_batch(pages: Pages, beyond: Beyond) -> None:
    async with bench(numbered(beyond)) as at:
        items, outcome, _ = await walk(at, listing(pages))
    assert (items, outcome.next_cursor) == (ROWS[:6], None)


@pytest.mark.parametrize("status", [400, 404])
async def test_on_the_first_page_these_statuses_are_no_end(status: int) -> None:
    async with bench(numbered(lambda _: web.Response(status=status), rows=0)) as at:
        assert isinstance(await at.call(listing(PageNumber()), {"list": "rows"}), Trash)


async def test_what_ends_a_batch_can_be_said() -> None:
    async with bench(numbered(lambda _: web.Response(status=422))) as at:
        assert isinstance((await walk(at, listing(PageNumber(size=3))))[1], Trash)
        items, outcome, _ = await walk(at, listing(PageNumber(size=3, end_on=422)))
        assert (items, outcome) == (ROWS[:6], Page(()))
    async with bench(numbered(lambda _: web.Response(status=404))) as at:
        assert isinstance((await walk(at, listing(PageNumber(size=3, end_on=()))))[1], Trash)


async def test_rules_that_name_the_status_win_and_checks_are_not_asked_about_an_end() -> None:
    checked = Rules(checks=[trash_when(lambda reply: reply.json() is None, "never")])
    named = Rules(checks=[repeat_when(lambda _: True, "later", codes=404)])
    async with bench(numbered(lambda _: web.Response(text="<html>", status=404))) as at:
        assert (await walk(at, listing(PageNumber(size=3), rules=checked)))[0] == ROWS[:6]
        assert isinstance((await walk(at, listing(PageNumber(size=3), rules=named)))[1], Repeat)
        assert isinstance((await walk(at, listing(PageNumber(size=3), rules=Rules(repeat=404))))[1], Repeat)


@pytest.mark.parametrize("pages", [CursorParam(next="next"), NextUrl(), LinkHeader()])
async def test_a_cursor_that_is_not_found_is_no_end(pages: Pages) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query:
            return web.Response(status=404)
        return web.json_response({"rows": ROWS, "next": "?a=1"}, headers={"Link": "<?a=1>; rel=next"})

    async with bench(answer) as at:
        _, outcome, _ = await walk(at, listing(pages, "rows"))
    assert "page 2, whose cursor may have expired" in outcome.reason


@pytest.mark.parametrize("pages", [CursorParam(next="next"), NextUrl(), LinkHeader()])
@pytest.mark.parametrize("has_items", [True, False])
async def test_the_same_cursor_again_is_the_end(pages: Pages, *, has_items: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        rows = ROWS[:3] if not request.query else ROWS[3:] if has_items else []
        return web.json_response({"rows": rows, "next": "?cursor=2"}, headers={"Link": "<?cursor=2>; rel=next"})

    async with bench(answer) as at:
        items, outcome, _ = await walk(at, listing(pages, "rows"))
    assert (items, outcome.next_cursor) == (ROWS if has_items else ROWS[:3], None)


async def test_the_same_cursor_with_other_items_is_no_end() -> None:
    calls: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        calls.append(1)
        return web.json_response({"rows": [len(calls)], "next": "scroll"})

    async with bench(answer) as at:
        items, outcome, _ = await walk(at, listing(CursorParam(next="next"), "rows"))
    assert (items, type(outcome).__name__) == ([1, 2], "Trash")
    assert "page 3 has the same cursor as the page before, and other items" in outcome.reason


async def test_a_page_that_comes_again_and_then_goes_on_is_walked_to_the_end() -> None:
    following = iter(["a", "a", "b", None])
    rows = iter([[1], [2], [2], [3]])

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": next(rows), "next": next(following)})

    async with bench(answer) as at:
        items, _, cursors = await walk(at, listing(CursorParam(next="next"), "rows"))
    assert (items, cursors) == ([1, 2, 3], ["a", "a", "b", None])


@pytest.mark.parametrize("way", ["pages", "offset"])
@pytest.mark.parametrize("told", [1, 2, 3])
async def test_a_total_that_only_some_pages_tell_is_kept(way: str, told: int) -> None:
    size = 2

    async def answer(request: web.Request) -> web.StreamResponse:
        number = int(request.query["page"]) - 1 if way == "pages" else int(request.query["offset"]) // size
        total = {"total": 4 if way == "pages" else 7} if number < told else {}
        return web.json_response({"rows": ROWS[number * size : number * size + size], **total})

    pages = PageNumber(total_pages="total") if way == "pages" else Offset(total="total")
    async with bench(answer) as at:
        assert (await walk(at, listing(pages, "rows")))[0] == ROWS


@pytest.mark.parametrize("total", [0, -1, 3, None, ""])
@pytest.mark.parametrize("way", ["pages", "offset"])
async def test_a_total_that_cannot_be_right_ends_no_batch(way: str, total: Any) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        query = request.query
        start = int(query["offset"]) if way == "offset" else (int(query["page"]) - 1) * 4
        return web.json_response({"rows": ROWS[start : start + 4], "total": total})

    pages = PageNumber(size=4, total_pages="total") if way == "pages" else Offset(size=4, total="total")
    async with bench(answer) as at:
        assert (await walk(at, listing(pages, "rows")))[0] == ROWS


@pytest.mark.parametrize("total", ["many", True, {"value": 7}, [7], 1.5])
@pytest.mark.parametrize("pages", [PageNumber(total_pages="total"), Offset(total="total")])
async def test_a_total_that_is_no_number_is_unreadable(pages: Pages, total: Any) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": ROWS, "total": total})

    async with bench(answer) as at:
        outcome: Any = await at.call(listing(pages, "rows"), {"list": "rows"})
    assert "at 'total' lies" in outcome.reason
    assert "not how long the list is" in outcome.reason


async def test_a_page_that_is_missing_although_it_was_told_is_no_end() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query["page"] == "2":
            return web.Response(status=404)
        return web.json_response({"rows": ROWS, "pages": 3})

    async with bench(answer) as at:
        _, outcome, _ = await walk(at, listing(PageNumber(total_pages="pages"), "rows"))
    assert "page 2 is missing, although 'pages' was 3" in outcome.reason


async def test_a_batch_that_ends_before_its_total_says_so() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": ROWS[:2] if request.query["offset"] == "0" else [], "total": 7})

    async with bench(answer) as at:
        with capture_logs() as lines:
            await walk(at, listing(Offset(total="total"), "rows"))
    assert [(line["event"], line["items"], line["total"]) for line in lines] == [("batch_short_of_total", 2, 7)]


@pytest.mark.parametrize("pages", [PageNumber(size=50), Offset(size=50)])
@pytest.mark.parametrize("rows", [4, 5, 6, 7])
async def test_a_service_that_gives_smaller_pages_than_it_is_asked_for(pages: Pages, rows: int) -> None:
    async with bench(numbered(lambda _: web.json_response([]), rows=rows, most=5)) as at:
        assert (await walk(at, listing(pages)))[0] == ROWS[:rows]


@pytest.mark.parametrize("pages", [PageNumber(size=50), Offset(size=50)])
async def test_a_page_that_is_not_full_but_names_the_next_one_is_not_the_last(pages: Pages) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        query = request.query
        start = int(query["offset"]) if "offset" in query else (int(query["page"]) - 1) * 3
        more = {"Link": '<?page=9>; rel="next"'} if start + 3 < len(ROWS) else {}
        return web.json_response(ROWS[start : start + 3], headers=more)

    async with bench(answer) as at:
        assert (await walk(at, listing(pages)))[0] == ROWS


async def test_a_first_page_of_a_round_number_may_come_again() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(ROWS[:5])

    async with bench(answer) as at:
        items, outcome, _ = await walk(at, listing(PageNumber()))
    assert (items, outcome) == (ROWS[:5], Page(()))


@pytest.mark.parametrize(
    ("cursor", "sent"),
    [
        ("abc", "abc"),
        (17, "17"),
        ([1, "a"], '[1,"a"]'),
        ({"id": {"S": "7"}}, '{"id":{"S":"7"}}'),
        (None, None),
        ("", None),
        (False, None),
        ([], None),
        ({}, None),
    ],
)
async def test_cursors_are_sent_as_json_writes_them(cursor: Any, sent: str | None) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": [1], "next": cursor})

    async with bench(answer) as at:
        page: Any = await at.call(listing(CursorParam(next="next"), "rows"), {"list": "rows"})
    assert page.next_cursor == sent


@pytest.mark.parametrize("pages", [CursorParam(next="next"), NextUrl()])
async def test_true_is_no_cursor(pages: Pages) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": [1], "next": True})

    async with bench(answer) as at:
        outcome: Any = await at.call(listing(pages, "rows"), {"list": "rows"})
    assert "next is true" in outcome.reason


@pytest.mark.parametrize(
    ("found", "is_read"), [({"href": "/2"}, True), ({"url": 7}, False), (7, False), (["/2"], False)]
)
async def test_a_url_may_lie_in_an_object(found: Any, *, is_read: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": [1], "next": found})

    async with bench(answer) as at:
        outcome: Any = await at.call(listing(NextUrl(), "rows"), {"list": "rows"})
        if is_read:
            assert outcome.next_cursor == f"{at.url}/2"
        else:
            assert "not the URL of the next page" in outcome.reason


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"hasNextPage": True}, "has a next page, but no endCursor"),
        ({"hasNextPage": True, "endCursor": None}, "has a next page, but no endCursor"),
        ({"hasNextPage": "yes", "endCursor": "a"}, "hasNextPage is a text"),
        ({}, "does not say how it goes on: ask for pageInfo { hasNextPage endCursor }"),
        (None, "does not say how it goes on"),
    ],
)
async def test_a_connection_that_does_not_say_how_it_goes_on_is_unreadable(info: Any, reason: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"orders": {"nodes": [1], "pageInfo": info}}})

    async with bench(answer) as at:
        outcome: Any = await at.call(shop.connection("c", "query", Any, Any, pages=Connection(at="orders")), {})
    assert isinstance(outcome, Trash)
    assert reason in outcome.reason


@pytest.mark.parametrize("pages", [PageNumber(size=2), PageNumber(size=3), Offset(size=3), Offset(size=50)])
@pytest.mark.parametrize("ends", ["empty", "404", "again"])
async def test_lists_of_every_length_are_read_to_the_end(pages: Pages, ends: str) -> None:
    beyond: dict[str, Beyond] = {
        "empty": lambda _: web.json_response([]),
        "404": lambda _: web.Response(status=404),
        "again": web.json_response,
    }
    for rows in range(1, 8):
        if ends == "again" and rows == pages.size:
            continue  # one full page twice: nobody can tell whether the service heeds the parameter
        async with bench(numbered(beyond[ends], rows=rows, most=5)) as at:
            assert (await walk(at, listing(pages)))[0] == ROWS[:rows], rows
