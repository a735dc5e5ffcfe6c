"""A service on loopback that writes exact bytes: what no proper server would answer can be answered by it."""

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, repeat
from types import TracebackType
from typing import Final, Self

from applications.http.response import Headers

_LONGEST_HEAD: Final = 1 << 20
_LENGTH: Final = re.compile(rb"^content-length: *(.*?) *\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came over the connection, byte for byte."""

    head: bytes = field(repr=False)
    """Request line and headers, with the empty line that ends them."""
    body: bytes = field(default=b"", repr=False)
    """As it was sent: of a body in chunks, with their framing."""

    @property
    def method(self) -> str:
        """The method."""
        return self._line[0]

    @property
    def target(self) -> str:
        """What stands between method and version: path and query, not decoded."""
        return self._line[1]

    @property
    def fields(self) -> Sequence[tuple[str, str]]:
        """The headers in their order, with names as they were written."""
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        pairs = [line.partition(":") for line in lines]
        return [(name, value.strip()) for name, _, value in pairs]

    @property
    def headers(self) -> Headers:
        """The headers by name, found in any case; values of a name that came twice are joined by commas."""
        return Headers(self.fields)

    @property
    def _line(self) -> list[str]:
        return self.head.partition(b"\r\n")[0].decode("latin-1").split(" ")


RawReply = bytes | Callable[[RawRequest], bytes]
"""The bytes of a reply, or what makes them of the request."""


class ByteService:
    """A service on loopback that gives these replies in order, the last one again and again.

    A reply is its bytes, from the status line on, or a function of the `RawRequest` that returns them. The connection
    stays open after one that is as long as its `Content-Length` says, and ends after any other: so a body without a
    length ends, and one that is too short is cut off. `b""` is no reply. Entering it starts the service:
    `async with ByteService(...) as service`, which listens at `service.url`.
    """

    def __init__(self, *replies: RawReply) -> None:
        """Raises `ValueError` without replies."""
        if not replies:
            raise ValueError("a service needs at least one reply")
        self.requests: list[RawRequest] = []
        """What has come, in order."""
        self.url = ""
        """Where it listens, such as `http://127.0.0.1:4711`, once it is entered."""
        self._replies: Iterator[RawReply] = chain(replies, repeat(replies[-1]))
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LONGEST_HEAD)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        is_open = True
        with suppress(OSError, asyncio.IncompleteReadError):
            while is_open:
                is_open = await self._answer(reader, writer)
        writer.close()
        self._open.discard(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether there may be another one."""
        request = await _read(reader)
        self.requests.append(request)
        reply = next(self._replies)
        content = reply(request) if callable(reply) else reply
        writer.write(content)
        await writer.drain()
        return _is_whole(content)


def _is_whole(reply: bytes) -> bool:
    head, _, body = reply.partition(b"\r\n\r\n")
    return _LENGTH.findall(head) == [b"%d" % len(body)] and b"connection: close" not in head.lower()


async def _read(reader: asyncio.StreamReader) -> RawRequest:
    request = RawRequest(await reader.readuntil(b"\r\n\r\n"))
    headers = request.headers
    if "chunked" in headers.get("transfer-encoding", ""):
        return RawRequest(request.head, await _read_chunks(reader))
    return RawRequest(request.head, await reader.readexactly(int(headers.get("content-length", 0))))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body, size = b"", -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line, 16)
        body += line + await reader.readexactly(size + 2)
    return body
