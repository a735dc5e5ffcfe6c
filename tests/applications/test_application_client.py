"""The client that methods of an application get: real requests to a server of the test."""

import gzip
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel
from support.accounts import install, opened, webhooks_of
from support.hooks import Shouter
from support.services import serving

from applications import Client, ServiceRefused
from applications.access import Access, always
from applications.accounts import Accounts
from applications.errors import ServiceAway, TryLater
from applications.http.errors import ReplyUnreadable
from applications.http.request import Auth, Credentials, Request
from applications.http.response import Head
from applications.http.wire import Wire
from connectors import Response
from worker.webhooks.subscriptions import SubscribeRefused, subscribe

SECRET = "canary-7c1e"


class Room(BaseModel):
    """A room of the service."""

    id: int
    name: str


class Service:
    """Notes requests and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        self.body: bytes = b'{"id": 2, "name": "Attic"}'
        self.headers = {"Content-Type": "application/json"}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Note the request and answer."""
        body = (await request.read()).decode()
        self.requests.append(
            {
                "method": request.method,
                "path": request.raw_path,
                "body": body,
                "headers": request.headers.copy(),
            }
        )
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with serving(service.answer) as url:
        yield url


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    await wire.close()


class Key(Auth):
    """A key in header and query."""

    async def sign(self, request: Request) -> AsyncGenerator[Credentials, Head]:
        """Yield both."""
        yield Credentials(headers={"X-Key": SECRET}, query={"key": SECRET})


def client(wire: Wire, url: str, auth: Auth | None = None) -> Client:
    return Client(wire, always(Access(url, {"X-Shop": "eshop"}, auth, secrets={SECRET})), "rooms")


async def test_it_has_the_words_of_connectors(wire: Wire, url: str, service: Service) -> None:
    asking = client(wire, f"{url}/api/", Key())
    reply = await asking.get("/rooms/{id}", {"id": "2/3"}, params={"q": "a b", "none": None})
    assert isinstance(reply, Response)
    assert (reply.status, reply.json(), reply.model(Room)) == (
        200,
        {"id": 2, "name": "Attic"},
        Room(id=2, name="Attic"),
    )
    assert reply.text == '{"id": 2, "name": "Attic"}'
    assert reply.headers["Content-Type"] == "application/json"
    (request,) = service.requests
    assert (request["method"], request["path"]) == ("GET", f"/api/rooms/2%2F3?q=a+b&key={SECRET}")
    assert (request["headers"]["X-Key"], request["headers"]["X-Shop"]) == (SECRET, "eshop")


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
async def test_each_verb_sends_its_body(wire: Wire, url: str, service: Service, verb: str) -> None:
    await getattr(client(wire, url), verb)("/rooms", json=Room(id=1, name="Hall"))
    await getattr(client(wire, url), verb)("/rooms", form={"name": "Hall & co"})
    first, second = service.requests
    assert (first["method"], first["body"]) == (verb.upper(), '{"id":1,"name":"Hall"}')
    assert first["headers"]["Content-Type"] == "application/json"
    assert second["body"] == "name=Hall+%26+co"


async def test_a_refusal_holds_the_reply_and_shows_no_secret(wire: Wire, url: str, service: Service) -> None:
    service.status, service.body = 422, f'{{"message": "no room for {SECRET}"}}'.encode()
    with pytest.raises(ServiceRefused, match=r"answered 422: no room for \[hidden\]$") as raised:
        await client(wire, url, Key()).get(f"/{SECRET}")
    assert SECRET not in str(raised.value)
    assert raised.value.response.json() == {"message": f"no room for {SECRET}"}


async def test_a_status_that_is_expected_is_no_refusal(wire: Wire, url: str, service: Service) -> None:
    service.status = 404
    assert (await client(wire, url).delete("/rooms/1", success={404})).status == 404
    with pytest.raises(ServiceRefused, match="answered 404"):
        await client(wire, url).delete("/rooms/1")


@pytest.mark.parametrize("status", [300, 400, 500])
async def test_everything_but_2xx_is_a_refusal(wire: Wire, url: str, service: Service, status: int) -> None:
    service.status = status
    with pytest.raises(ServiceRefused, match=f"answered {status}"):
        await client(wire, url).post("/rooms")


async def test_a_service_that_is_away_is_told_without_its_address(wire: Wire) -> None:
    with pytest.raises(ServiceAway, match=r"^rooms cannot be reached: no connection$") as raised:
        await client(wire, "http://127.0.0.1:1").get(f"/{SECRET}")
    assert isinstance(raised.value, TryLater)
    assert raised.value.after.total_seconds() == 60


async def test_a_reply_that_ends_too_early_means_the_service_is_away(wire: Wire, url: str, service: Service) -> None:
    service.headers = {"Content-Encoding": "gzip"}
    service.body = gzip.compress(b"x" * 1000)[:-9]
    with pytest.raises(ServiceAway, match="rooms cannot be reached: ReplyTruncated"):
        await client(wire, url).get("/rooms")


async def test_a_reply_above_the_bound_is_not_read(wire: Wire, url: str) -> None:
    with pytest.raises(ReplyUnreadable, match="larger than 10 bytes"):
        await client(wire, url).get("/rooms", max_bytes=10)


async def test_another_host_gets_no_credentials(wire: Wire, url: str, service: Service) -> None:
    await client(wire, "https://shop.example", Key()).get(f"{url}/rooms")
    (request,) = service.requests
    assert request["path"] == "/rooms"
    assert "X-Key" not in request["headers"]
    assert "X-Shop" not in request["headers"]


class Counting(Auth):
    """Signs forms, and once more with another key after a 403."""

    def needs_body(self, request: Request) -> bool:
        """Only a form."""
        return "form" in request.headers.get("content-type", "")

    async def sign(self, request: Request) -> AsyncGenerator[Credentials, Head]:
        """Yield the length of the body, and after a refusal its status."""
        refusal = yield Credentials({"X-Signed": f"{request.method} {len(request.body)} {request.headers['Host']}"})
        if refusal.status == 403:
            yield Credentials({"X-Signed": f"again after {refusal.status}"})


async def test_a_way_of_signing_sees_the_request_and_the_refusal(wire: Wire, url: str, service: Service) -> None:
    asking = client(wire, url, Counting())
    await asking.post("/rooms", form={"a": "1"})
    await asking.post("/rooms", json=[1, 2])
    service.status = 403
    with pytest.raises(ServiceRefused, match="answered 403"):
        await asking.get("/rooms")
    host = url.removeprefix("http://")
    assert [request["headers"]["X-Signed"] for request in service.requests] == [
        f"POST 3 {host}", f"POST 0 {host}", f"GET 0 {host}", "again after 403",
    ]  # fmt: skip


async def test_a_service_that_answers_no_json_refuses_to_subscribe(tmp_path: Path, url: str, service: Service) -> None:
    service.body = b"<html>"
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        await install(accounts, Shouter, server=url, token=SECRET)
        with pytest.raises(SubscribeRefused, match=r"POST .*/hooks answered 200 .*not JSON"):
            await order(accounts)
        assert not await webhooks_of(accounts).list()


async def order(accounts: Accounts) -> None:
    place = {"topology": "t", "node": "n", "public_url": "http://x"}
    await subscribe(accounts, webhooks_of(accounts), Shouter, "alice", "order", **place, parameters={})
