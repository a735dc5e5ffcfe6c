"""The service of exact bytes: what is written arrives as it is, and what came is kept as it came."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors import Connector, Message, Repeat
from worker.testing import ByteService, RawRequest, network, run_action

GREETING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


async def exchange(service: ByteService, sent: bytes) -> bytes:
    """Send bytes, and return what comes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(service.url).port)
    writer.write(sent)
    received = await reader.read()
    writer.close()
    return received


class Post(Connector[Any, Any]):
    """Posts the body to the URL in it."""

    name = "post"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Post it."""
        reply = await self.post(message.data["url"], json={"id": 1}, headers={"X-Own": "5"})
        return message.with_data(reply.json())


async def test_replies_are_written_byte_for_byte_in_their_order() -> None:
    odd = bytes(range(256)) * 3
    async with ByteService(odd, lambda request: request.target.encode(), b"") as service:
        assert await exchange(service, b"GET /a HTTP/1.1\r\n\r\n") == odd
        assert await exchange(service, b"GET /b%40?c=%2C HTTP/1.1\r\n\r\n") == b"/b%40?c=%2C"
        assert [await exchange(service, b"GET / HTTP/1.1\r\n\r\n") for _ in range(2)] == [b"", b""]
    assert [request.target for request in service.requests] == ["/a", "/b%40?c=%2C", "/", "/"]


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"", b""),
        (b"Content-Length: 5\r\n", b"a\r\n\xffb"),
        (b"transfer-encoding: chunked\r\n", b"2\r\nab\r\n3\r\n\r\n\xff\r\n0\r\n\r\n"),
    ],
)
async def test_a_request_is_kept_byte_for_byte(framing: bytes, body: bytes) -> None:
    head = b"PATCH /x HTTP/1.1\r\nx-A: 1\r\nX-a:2\r\n" + framing + b"\r\n"
    async with ByteService(b"-") as service:
        assert await exchange(service, head + body) == b"-"
    assert service.requests == [RawRequest(head, body)]
    (request,) = service.requests
    assert (request.method, request.headers["X-A"]) == ("PATCH", "1, 2")
    assert request.fields[:2] == [("x-A", "1"), ("X-a", "2")]


async def test_an_action_meets_it_over_the_network() -> None:
    async with ByteService(GREETING + b'{"ok": true}', b"") as service:
        assert (await run_action(Post, {"url": service.url}, http=network())).data == {"ok": True}
        assert isinstance((await run_action(Post, {"url": service.url}, http=network())).outcome, Repeat)
    assert {(request.method, request.target, request.body) for request in service.requests} == {
        ("POST", "/", b'{"id":1}')
    }
    assert service.requests[0].headers["x-own"] == "5"


async def test_the_connection_stays_open_after_a_reply_that_is_whole() -> None:
    whole, asked = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"GET / HTTP/1.1\r\n\r\n"
    async with ByteService(whole, whole + b"x") as service:
        assert await exchange(service, asked + asked) == whole + whole + b"x"
    assert len(service.requests) == 2


async def test_it_needs_a_reply() -> None:
    with pytest.raises(ValueError, match="at least one reply"):
        ByteService()
