"""Cassettes: recorded from a real server, played without it, never with a secret."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from support.services import serving

from applications import Client
from applications.access import Access, always
from applications.http.response import Response
from applications.http.wire import Wire
from worker.testing import Cassette, ConnectionLost, Request, TimedOut, Transport, UnexpectedRequest, answering
from worker.testing.scrub import Scrubber

SECRETS = ("t0ken-of-alice", "p4ssword!", "query-k3y-1", "issued-t0ken", "cookie-v4lue", "own-s3cret")
QUERY = {"n": 1, "api_key": "query-k3y-1"}


async def answer(request: web.Request) -> web.Response:
    if request.path == "/token":
        reply = web.json_response({"access_token": "issued-t0ken", "expires_in": 60, "next_page_token": "page2"})
        reply.set_cookie("session", "cookie-v4lue")
        return reply
    if request.path == "/bytes":
        return web.Response(body=b"\xff\x00\x01", content_type="application/octet-stream")
    if request.path == "/echo":
        return web.json_response({"you_sent": request.headers["authorization"], "own": "own-s3cret"})
    return web.json_response({"number": int(request.query["n"])}, headers={"x-page": "1"})


async def ask(client: Client) -> list[Response]:
    basic = {"authorization": "Basic " + base64.b64encode(b"alice:p4ssword!").decode()}
    return [
        await client.post("/token", form={"grant_type": "code", "code": "own-s3cret"}, headers=basic),
        await client.get("/echo", headers={"authorization": "Bearer t0ken-of-alice"}),
        await client.get("/items", params=QUERY, headers={"authorization": "Bearer issued-t0ken"}),
        await client.get("/items", params=QUERY),
        await client.get("/bytes"),
    ]


def facts(reply: Response) -> tuple[int, bytes | Mapping[str, object]]:
    return reply.status, reply.json() if "json" in reply.headers["content-type"] else reply.content


@asynccontextmanager
async def through(transport: Transport, url: str = "") -> AsyncIterator[Client]:
    wire = Wire(transport=transport)
    yield Client(wire, always(Access(url)), "shop")
    await wire.close()


async def test_what_is_recorded_is_played_without_the_service_and_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "cassettes" / "shop.json"
    recording = Cassette(path, mode="record", secrets=["own-s3cret"])
    async with serving(answer) as url, through(recording, url) as client:
        recorded = await ask(client)
    text = path.read_text()
    assert [secret for secret in SECRETS if secret in text] == []
    assert base64.b64encode(b"alice:p4ssword!").decode() not in text
    cassette = Cassette(path)
    async with through(cassette, url) as client:
        played = await ask(client)
    assert [reply.status for reply in played] == [200] * 5
    assert list(map(facts, played[2:])) == list(map(facts, recorded[2:]))
    assert played[0].json() == {"access_token": "[hidden]", "expires_in": 60, "next_page_token": "page2"}
    assert played[2].headers["x-page"] == "1"
    assert cassette.unplayed == []


async def test_a_request_that_was_not_recorded_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    exchanges = [
        {
            "request": {"method": "GET", "url": "https://shop.example/orders/17"},
            "reply": {"body": {"json": {"id": 17}}},
        },
        {"request": {"method": "GET", "url": "https://shop.example/customers"}, "reply": {"status": 404}},
    ]
    path.write_text(json.dumps({"exchanges": exchanges}))
    cassette = Cassette(path)
    async with through(cassette) as client:
        with pytest.raises(UnexpectedRequest) as raised:
            await client.get("https://shop.example/orders/18")
        assert str(raised.value).splitlines() == [
            f"{path} has no reply for GET https://shop.example/orders/18",
            "  body: none",
            "The nearest is GET https://shop.example/orders/17",
            "  body: none",
            "Record it: pytest --record, or WORKER_TESTING_RECORD=1",
        ]
        assert (await client.get("https://shop.example/orders/17")).json() == {"id": 17}
        with pytest.raises(UnexpectedRequest, match="which has been played already"):
            await client.get("https://shop.example/orders/17")
    assert cassette.unplayed == ["GET https://shop.example/customers"]


async def test_a_lost_connection_is_recorded_too(tmp_path: Path) -> None:
    path = tmp_path / "lost.json"
    for mode in ("record", "replay"):
        cassette = Cassette(path, mode=mode, service=answering(TimedOut("no answer")))
        with pytest.raises(ConnectionLost, match="no answer"):
            await cassette.send(Request("GET", "https://shop.example/", {}))


def test_a_cassette_that_is_missing_or_broken_says_how_to_record(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json: No such file or directory\. Record it: pytest --record"):
        Cassette(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text('{"exchanges": [{"request": {}}]}')
    with pytest.raises(ValueError, match=r"at \$\.exchanges\[0\]\.request\.method: Field required"):
        Cassette(tmp_path / "broken.json")


@pytest.mark.parametrize(
    ("data", "hidden"),
    [
        ({"password": "x", "name": "y"}, {"password": "[hidden]", "name": "y"}),
        ({"next_page_token": "abc", "token_type": "bearer"}, {"next_page_token": "abc", "token_type": "bearer"}),
        ({"code": "CZ", "key": "ISSUE-1", "tokens": 5}, {"code": "CZ", "key": "ISSUE-1", "tokens": 5}),
        ([{"clientSecret": "x"}, "plain"], [{"clientSecret": "[hidden]"}, "plain"]),
    ],
)
def test_members_are_hidden_by_their_names(data: object, hidden: object) -> None:
    assert Scrubber().data(data) == hidden


def test_urls_are_scrubbed() -> None:
    scrubber = Scrubber()
    shown = scrubber.url("https://user:pass@shop.example/orders?code=abc&page=2&access_token=x")
    assert shown == "https://shop.example/orders?code=[hidden]&page=2&access_token=[hidden]"
