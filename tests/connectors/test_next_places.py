"""Access tokens that a service echoes in the address of the next page do not travel, and do not lie in the trash."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from support.calls import Bench, bench
from support.listings import listing

from applications.access import Access
from applications.authentication import ApiKey, Authentication, Bearer
from applications.crypt import Keyring, PlaceSealer, new_key
from applications.errors import CannotDecrypt
from applications.http.request import Credentials
from connectors import CursorParam, LinkHeader, NextUrl
from connectors.next_place import without_credentials
from connectors.paging import Pages
from connectors.trail import TRAIL_HEADER

TOKEN = "EAAB+secret/token=="
KEYRING = Keyring.read(f"{new_key('b')} {new_key('a')}")
SETTINGS = {"token": TOKEN}


def signed(at: Bench, way: Authentication) -> None:
    """Let the actions sign this way."""
    sealer = PlaceSealer(KEYRING, ("alice", "shop"))

    async def find(*_: Any) -> Access:
        return Access(at.url, auth=way.auth(SETTINGS), secrets={TOKEN, "other secret"}, sealer=sealer)

    at.http.access = find


def echoing(more: str) -> tuple[Any, list[dict[str, list[str]]]]:
    """Return a service that echoes the query and adds to it, and what it was asked."""
    asked: list[dict[str, list[str]]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(parse_qs(request.query_string))
        url = f"{request.url.with_query(None)}?{request.query_string}{more}"
        return web.json_response(
            {"rows": [len(asked)], "next": url if len(asked) == 1 else None},
            headers={"Link": f"<{url}>; rel=next"} if len(asked) == 1 else {},
        )

    return answer, asked


async def two_pages(at: Bench, pages: Pages) -> str:
    """Return the cursor between two pages, the second of which was asked for with it."""
    first: Any = await at.call(listing(pages, "rows", query={"sort": "id"}), {"list": "rows"})
    headers = {"cursor": first.next_cursor, TRAIL_HEADER: first.trail}
    last: Any = await at.call(listing(pages, "rows"), {"list": "rows"}, **headers)
    assert (last.items, last.next_cursor) == ([2], None)
    return str(first.next_cursor)


@pytest.mark.parametrize("pages", [NextUrl(), LinkHeader()])
async def test_what_the_sign_in_adds_is_cut_and_added_again(pages: Pages) -> None:
    answer, asked = echoing("&after=7")
    async with bench(answer) as at:
        signed(at, ApiKey(query="access_token"))
        assert await two_pages(at, pages) == f"{at.url}/rows?sort=id&after=7"
    assert asked[1] == {"sort": ["id"], "after": ["7"], "access_token": [TOKEN]}


async def test_a_token_that_is_sent_in_a_header_is_cut() -> None:
    answer, asked = echoing("&after=a%2Fb&access_token=EAAB%2Bsecret%2Ftoken%3D%3D")
    async with bench(answer) as at:
        signed(at, Bearer())
        assert await two_pages(at, NextUrl()) == f"{at.url}/rows?sort=id&after=a%2Fb"
    assert asked[1] == {"sort": ["id"], "after": ["a/b"]}


@pytest.mark.parametrize("more", ["&key=other%20secret", "&key=other+secret", "&sig_token=unknown", "&session=1"])
async def test_what_else_is_secret_is_sealed_and_asked_with(more: str) -> None:
    answer, asked = echoing(more)
    async with bench(answer) as at:
        signed(at, Bearer())
        cursor = await two_pages(at, NextUrl())
    assert cursor.startswith("orchesty-sealed:s1.b.")
    assert "secret" not in cursor
    assert asked[1] == {"sort": ["id"], **parse_qs(more)}


async def test_a_cursor_with_a_secret_is_sealed_always_to_the_same() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"rows": [1], "next": f"page 2 of {TOKEN}"})

    async with bench(answer) as at:
        signed(at, Bearer())
        action = listing(CursorParam(next="next"), "rows")
        pages: list[Any] = [await at.call(action, {"list": "rows"}) for _ in range(2)]
    assert pages[0].next_cursor == pages[1].next_cursor
    assert pages[0].next_cursor.startswith("orchesty-sealed:")


async def test_other_places_travel_as_they_are() -> None:
    answer, _ = echoing("&page_token=abc&cursor=x%2Fy==")
    async with bench(answer) as at:
        signed(at, Bearer())
        assert await two_pages(at, NextUrl()) == f"{at.url}/rows?sort=id&page_token=abc&cursor=x%2Fy=="


def test_what_is_sealed_opens_at_its_place_with_its_key_only() -> None:
    sealed = KEYRING.seal_alike(b"text", "a", "b")
    assert sealed == KEYRING.seal_alike(b"text", "a", "b") != KEYRING.seal_alike(b"text", "a", "c")
    assert KEYRING.open_alike(sealed, "a", "b") == b"text"
    for ring, text, place in (
        (KEYRING, sealed, ("a", "c")),
        (KEYRING, sealed[:-2], ("a", "b")),
        (KEYRING, "x", ("a", "b")),
        (Keyring.read(new_key("b")), sealed, ("a", "b")),
        (Keyring.read(new_key("z")), sealed, ("a", "b")),
    ):
        with pytest.raises(CannotDecrypt, match="a / "):
            ring.open_alike(text, *place)


def test_urls_keep_their_bytes_but_for_what_is_cut() -> None:
    url = "https://h.example/a%2Fb?x=%7E&&y&k=1&z=a+b#part"
    assert without_credentials(url, Credentials(query={"k": "1"}), ()) == url.replace("&k=1", "")
    assert urlsplit(without_credentials("https://h.example/?k=1", Credentials(query={"k": "1"}), ())).query == ""
