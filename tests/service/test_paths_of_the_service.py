"""Paths and methods that nobody answers as they are, and what is said of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support.accounts import opened
from support.desk import desk_service
from support.services import served
from support.serving import Asked
from yarl import URL

from applications.accounts import Accounts
from worker.app.http_api import ANY_PATH
from worker.service.http import Request, no_such_route
from worker.service.server import answers_of

UNREADABLE = ["%", "%zz", "a%2", "%FF", "%C3%28", "%E0%A4%A", "%00", "a%00b"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]


async def nothing() -> bytes:
    return b""


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        yield accounts


@pytest.fixture
def ask(accounts: Accounts) -> Asked:
    return desk_service(accounts)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/connector/list", "GET, HEAD"),
        ("/connector/x/action", "POST"),
        ("/applications/desk", "GET, HEAD"),
        ("/applications/limits", "GET, HEAD, POST"),
        ("/applications/desk/users/alice/uninstall", "DELETE"),
    ],
)
async def test_options_are_the_methods_of_a_path_in_order(ask: Asked, path: str, methods: str) -> None:
    found = (await ask("OPTIONS", path)).reply
    assert (found.status, found.body.decode(), found.content_type) == (200, methods, "text/plain")
    assert found.headers == {"Allow": methods, "X-Content-Type-Options": "nosniff"}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/nope", "/nope"),
        ("/nope/<b>", "/nope/%3Cb%3E"),
        ('/connector/"x"/action', "/connector/%22x%22/action"),
        ("/nope/it's", "/nope/it&#39;s"),
        ("/nope/a&b", "/nope/a&amp;b"),
        ("/nope/%3Cb%3e", "/nope/%3Cb%3e"),
        ("/nope/%", "/nope/%25"),
        ("/nope/[x]^|{y}`", "/nope/[x]^|%7By%7D%60"),
        ("/nope/č", "/nope/%C4%8D"),
    ],
)
async def test_the_page_for_no_route_shows_its_path_as_an_address(ask: Asked, path: str, shown: str) -> None:
    found = await ask("GET", path)
    assert (found.status, f"<pre>Cannot GET {shown}</pre>" in found.reply.body.decode()) == (404, True)


@given(st.binary() | st.text().map(str.encode))
def test_no_path_brings_markup_into_the_page(raw: bytes) -> None:
    path = raw.decode(errors="surrogateescape")  # as servers read it
    page = no_such_route(Request("GET", f"/{path}", "", {}, nothing, "")).body.decode()
    shown = page.partition("<pre>")[2].partition("</pre>")[0]
    assert not set(shown) & {"<", ">", '"'}


@pytest.mark.parametrize("segment", UNREADABLE)
@pytest.mark.parametrize("method", METHODS)
async def test_a_path_that_means_no_text_gets_the_answer_of_a_failed_call(
    ask: Asked, method: str, segment: str
) -> None:
    for path in (
        f"/connector/{segment}/action",
        f"/applications/{segment}/users/x",
        f"/applications/desk/sync/{segment}",
    ):
        found = await ask(method, path, {"body": "[1]", "headers": {"id": 5}})
        told = {"id": 5, "result-code": "1006", "result-message": f"Error occurred: Failed to decode param '{segment}'"}
        assert found.status == 400
        assert found.reply.body == b"" if method == "HEAD" else found.data == {"body": "[1]", "headers": told}
        assert (await ask(method, path, b"{")).status == 400
    assert (await ask(method, f"/nope/{segment}")).status == 404


async def test_a_user_may_have_any_other_character(ask: Asked) -> None:
    application = web.Application()
    application.router.add_route("*", ANY_PATH, answers_of(ask.service, is_behind_front=False))
    users = ["%0A", "a%0D%0Ab", "%2F", "%3F", "%F0%9F%98%80", "%E2%80%A8", "%25"]
    async with served(application) as url, aiohttp.ClientSession() as client:
        for user in users:
            own = f"{url}/applications/desk/users/{user}"
            async with client.post(URL(f"{own}/install", encoded=True)) as made:
                assert made.status == 201, user
            async with client.get(URL(own, encoded=True)) as found:
                assert found.status == 200, user
