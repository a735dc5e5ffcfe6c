"""The service as a part of somebody's ASGI application: FastAPI, Starlette, or any other."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import quote

from worker.doors.bodies import MAX_BODY_BYTES
from worker.service.errors import Refused
from worker.service.http import Reply, Request
from worker.service.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi_of(service: Service, opened: Callable[[], AbstractAsyncContextManager[None]]) -> Asgi:
    """Return the application. `opened` is entered for the lifespan of a server that asks for one."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(opened, receive, send)
        elif scope["type"] == "http":
            await _send(await service.answer(_request(scope, receive)), send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    return answer


async def _live(opened: Callable[[], AbstractAsyncContextManager[None]], receive: Receive, send: Send) -> None:
    await receive()
    is_up = False
    try:
        async with opened():
            await send({"type": "lifespan.startup.complete"})
            is_up = True
            await receive()
    except Exception as error:
        # A server takes an error that is raised for an application without a lifespan, and serves it all the same.
        ended = "shutdown" if is_up else "startup"
        await send({"type": f"lifespan.{ended}.failed", "message": f"{type(error).__name__}: {error}"})
    else:
        await send({"type": "lifespan.shutdown.complete"})


def _request(scope: Scope, receive: Receive) -> Request:
    """Return the request below the path at which the application is mounted."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.decode("latin-1").partition("?")[0].removeprefix(quote(scope.get("root_path", "")))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    address = (scope.get("client") or ("",))[0] or "unknown"

    async def read() -> bytes:
        return await read_limited(_chunks(receive))

    query = scope.get("query_string", b"").decode("latin-1")
    return Request(scope["method"], path or "/", query, headers, read, address, scope.get("scheme", "http"))


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("the body ended before its end")
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def read_limited(chunks: AsyncIterator[bytes]) -> bytes:
    """Return a body that comes in pieces. Raises `Refused` for one that is too large."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refused(f"a body may have {MAX_BODY_BYTES:,} bytes", 413)
    return bytes(body)


async def _send(reply: Reply, send: Send) -> None:
    given = {
        "content-type": reply.content_type,
        "content-length": str(len(reply.body)),
        **{name.lower(): value for name, value in reply.headers.items()},
    }
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
