"""The HTTP client of actions, against servers on loopback that behave well and badly."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from support.services import serving

from applications import Application
from applications.access import Access
from applications.http.compression import gzip
from applications.http.request import Auth, Credentials, Outgoing, Request
from applications.http.response import Head
from applications.http.wire import is_elsewhere
from connectors import Repeat, Service
from connectors.http import Http
from deploy.ports import free_ports
from worker.testing import Reply, answering


class Server:
    """Answers every connection's request with the same bytes, then closes; remembers what was asked."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        self.requests: list[str] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._answer, "127.0.0.1")
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.reply)
        await writer.drain()
        writer.close()


def at(http: Http, url: str, headers: Mapping[str, str] | None = None) -> Service:
    """Return the service at a URL."""
    return Service(http, type("There", (Application,), {"base_url": url, "headers": headers or {}}))


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http(timeout_seconds=0.5)
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"", "POST"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "answered 502"),
    ],
)
async def test_a_broken_reply_repeats_the_message_and_not_the_request(http: Http, reply: bytes, said: str) -> None:
    server = Server(reply)
    async with server.serving() as url:
        with pytest.raises(Repeat, match=said):
            await at(http, url).post("/orders", json={"id": 1})
    assert len(server.requests) == 1


async def test_a_service_that_never_answers_repeats_the_message(http: Http) -> None:
    async with _silent() as url:
        with pytest.raises(Repeat, match="TimedOut"):
            await at(http, url).get("/orders")


async def test_a_refused_connection_is_tried_again_at_once(http: Http) -> None:
    (port,) = free_ports(1)
    asking = asyncio.ensure_future(Service(http).get(f"http://127.0.0.1:{port}/"))
    await asyncio.sleep(0)
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    opened = await asyncio.start_server(server._answer, "127.0.0.1", port)
    async with opened:
        assert (await asking).text == "ok"


async def test_a_service_that_is_away_repeats_the_message(http: Http) -> None:
    (port,) = free_ports(1)
    with pytest.raises(Repeat, match=f"127.0.0.1:{port}"):
        await at(http, f"http://127.0.0.1:{port}").get("/orders")


async def test_cookies_of_one_user_do_not_reach_another(http: Http) -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: session=theirs; Path=/\r\n\r\n")
    async with server.serving() as url:
        for _ in range(2):
            await at(http, url, {"X-Tenant": "a"}).get("/orders")
    assert ["cookie" in request.lower() for request in server.requests] == [False, False]
    assert all("x-tenant: a" in request.lower() for request in server.requests)


async def test_headers_of_the_reply_are_read_whatever_their_case(http: Http) -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Total: 7\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n")
    async with server.serving() as url:
        reply = await at(http, url).get("/orders", params={"page": 2})
    assert (reply.headers["x-total"], reply.headers["X-TOTAL"], reply.headers["set-cookie"]) == ("7", "7", "a=1, b=2")
    assert server.requests[0].startswith("GET /orders?page=2 HTTP/1.1")


@asynccontextmanager
async def _silent() -> AsyncIterator[str]:
    ended = asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        ended.set()
        server.close()


async def test_nothing_that_may_hold_secrets_is_shown(http: Http) -> None:
    (port,) = free_ports(1)
    url = f"http://ann:hunter2@127.0.0.1:{port}/orders?key=hunter2"
    with pytest.raises(Repeat) as error:
        await Service(http).get(url)
    assert "hunter2" not in str(error.value)
    request = Outgoing("GET", url, {"X-Token": "hunter2"}, {"content": "hunter2"})
    assert "hunter2" not in f"{request} {Access(headers={'X-Token': 'hunter2'}, fields={'password': 'hunter2'})}"


async def test_credentials_in_a_url_sign_the_request(http: Http) -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    async with server.serving() as url:
        await Service(http).get(f"{url.replace('://', '://ann:hunter2@')}/orders")
    assert base64.b64encode(b"ann:hunter2").decode() in server.requests[0]


class Refreshing(Auth):
    """Signs with a token, and with another one after a 401."""

    async def sign(self, request: Request) -> AsyncGenerator[Credentials, Head]:
        reply = yield Credentials({"Authorization": "Bearer old"})
        if reply.status == 401:
            yield Credentials({"Authorization": "Bearer new"})


async def test_what_signs_requests_may_answer_a_401_and_is_not_taken_elsewhere(http: Http) -> None:
    seen: list[tuple[str, Any]] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, request.headers.get("Authorization")))
        return web.json_response({})

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, request.headers.get("Authorization")))
        if request.headers["Authorization"] == "Bearer old":
            return web.json_response({"message": "expired"}, status=401)
        if request.path == "/file":
            raise web.HTTPFound(f"{other}/file")
        return web.json_response(await request.json())

    async with serving(elsewhere) as other, serving(answer) as url:

        async def access(_: type[Application], __: str, ___: str) -> Access:
            return Access(url, auth=Refreshing())

        http.access = access
        assert (await Service(http).post("/orders", json={"id": 1})).json() == {"id": 1}
        await Service(http).get("/file")
    assert seen == [
        ("/orders", "Bearer old"),
        ("/orders", "Bearer new"),
        ("/file", "Bearer old"),
        ("/file", "Bearer new"),
        ("/file", None),
    ]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_transport_takes_the_place_of_the_network(encoding: str) -> None:
    content = b'{"id": 1}' if encoding == "identity" else gzip(b'{"id": 1}')
    http = Http(transport=answering(Reply(content=content, headers={"Content-Encoding": encoding})))
    assert (await Service(http).get("http://shop.example/orders")).json() == {"id": 1}
    async with Service(http).stream("GET", "http://shop.example/orders") as download:
        assert [value async for value in download.json_lines()] == [{"id": 1}]
    await http.close()


async def test_credentials_stay_with_their_service(http: Http) -> None:
    ours, theirs = Server(b"HTTP/1.1 204 No Content\r\n\r\n"), Server(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with ours.serving() as home, theirs.serving() as elsewhere:
        service = at(http, f"{home}/api", {"Authorization": "Bearer s3cr3t"})
        for url in ("/orders", f"{home}/other", f"{elsewhere}/orders"):
            await service.get(url)
    assert ["s3cr3t" in request for request in ours.requests] == [True, True]
    assert ["s3cr3t" in request for request in theirs.requests] == [False]


@pytest.mark.parametrize(
    ("url", "is_other"),
    [
        ("https://shop.example/api/orders", False),
        ("https://shop.example/login", False),
        ("https://shop.example:443/api", False),
        ("https://shop.example.evil.example/api/", True),
        ("https://shop.example@evil.example/api/", True),
        ("http://shop.example/api", True),
    ],
)
def test_another_host_is_told_from_ours(url: str, is_other: bool) -> None:
    assert is_elsewhere(url, "https://shop.example/api") == is_other
