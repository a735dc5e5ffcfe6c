"""Bodies of requests: read with an end in time and in size, each one and all at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_BYTES_IN_FLIGHT: Final = 2 * MAX_BODY_BYTES
"""Of all bodies that are being read or worked on."""
BODY_SECONDS = 60.0
"""From the end of the head to the end of the body."""


class BodyBytes:
    """How many bytes of bodies are in memory."""

    def __init__(self) -> None:
        self.count = 0


class Body:
    """The part of one request in these bytes."""

    def __init__(self, held: BodyBytes) -> None:
        self._held = held
        self._count = 0

    def take(self, count: int) -> None:
        """Add bytes. Raises an answer with status 503 if all bodies together are too large."""
        if self._held.count + count > MAX_BYTES_IN_FLIGHT:
            raise web.HTTPServiceUnavailable(text="too many bytes at once; try again", headers={"Retry-After": "1"})
        self._held.count += count
        self._count += count

    def release(self) -> None:
        """Give all bytes back."""
        self._held.count -= self._count
        self._count = 0


BODY: Final = web.RequestKey("body", Body)


async def read_body(request: web.Request) -> bytes:
    """Read a whole body; it counts as in flight until its request is answered.

    Raises the answer to a body that is too large, comes too slowly, or comes while too many others are in flight.
    """
    body = request[BODY]
    read = bytearray()
    async for chunk in body_chunks(request):
        body.take(len(chunk))
        read += chunk
    return bytes(read)


async def body_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """Yield a body as it comes. Raises the answer to one that is too large, comes too slowly or is cut."""
    size = request.content_length or 0
    deadline = asyncio.get_running_loop().time() + BODY_SECONDS
    while size <= MAX_BODY_BYTES:
        chunk = await _next_chunk(request, deadline)
        if not chunk:
            return
        yield chunk
        size = size if request.content_length else size + len(chunk)
    raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, size, text=f"a body may have {MAX_BODY_BYTES:,} bytes")


async def _next_chunk(request: web.Request, deadline: float) -> bytes:
    try:
        async with asyncio.timeout_at(deadline):
            return await request.content.readany()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not come within {BODY_SECONDS:g} seconds") from None
    except (ConnectionError, web.RequestPayloadError):
        raise web.HTTPBadRequest(text="the body ended before its end") from None
