"""A TCP proxy before the broker that breaks connections in the ways that networks do."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from urllib.parse import urlsplit, urlunsplit

CHUNK_BYTES = 65536
METHOD = 1
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Lost(Enum):
    """Frames of the broker that can be lost or held, by class and method; the content of a delivery goes with it."""

    CANCEL = (60, 30)
    DELIVER = (60, 60)
    CONFIRM = (60, 80)


class Way:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, broker: asyncio.StreamWriter) -> None:
        self.writers = (client, broker)
        self.is_open = asyncio.Event()
        self.is_open.set()

    def close(self, *, with_reset: bool) -> None:
        """Close both sides, if asked with RST instead of FIN."""
        for writer in self.writers:
            end = writer.get_extra_info("socket")
            if with_reset and end is not None and end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()
        self.is_open.set()


class Proxy:
    """Forwards to the broker of `url` until told otherwise; `self.url` leads through it."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._ways: set[Way] = set()
        self._lost: Lost | None = None
        self._spared = 0
        self._held: Lost | None = None
        self._is_released = asyncio.Event()
        self.accepted = 0
        """Connections that clients have made so far."""
        self.lost = 0
        """Frames lost so far."""

    @property
    def url(self) -> str:
        """The broker's URL, through the proxy."""
        user, _, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{self._port}"))

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Proxy"]:
        """Accept connections while the context is open."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._close(with_reset=False)
            await server.wait_closed()

    def reset(self) -> None:
        """Cut all connections with RST."""
        self._close(with_reset=True)

    def blackhole(self) -> None:
        """Forward nothing any more on the connections that there are, and tell nobody; new ones work."""
        for way in self._ways:
            way.is_open.clear()

    @contextmanager
    def losing(self, frame: Lost, *, after: int = 0) -> Iterator[None]:
        """Lose these frames of the broker on their way to the client, but for the first ones."""
        self._lost, self._spared = frame, after
        try:
            yield
        finally:
            self._lost = None

    @contextmanager
    def holding(self, frame: Lost) -> Iterator[None]:
        """Hold these frames of the broker, and all that come behind them, until the context ends."""
        self._held = frame
        self._is_released.clear()
        try:
            yield
        finally:
            self._held = None
            self._is_released.set()

    def _close(self, *, with_reset: bool) -> None:
        for way in tuple(self._ways):
            way.close(with_reset=with_reset)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            writer.close()
            return
        way = Way(writer, far_writer)
        self._ways.add(way)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_forward(reader, far_writer, way))
                group.create_task(self._forward_frames(far_reader, writer, way))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # one side has ended the connection
        finally:
            self._ways.discard(way)
            way.close(with_reset=False)

    async def _forward_frames(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        """Forward the broker's frames; one that is to be lost takes the content that follows it along."""
        losing_content: set[int] = set()
        while True:
            head = await reader.readexactly(7)
            kind, channel, size = struct.unpack(">BHI", head)
            rest = await reader.readexactly(size + 1)
            await way.is_open.wait()
            if kind == METHOD:
                losing_content.discard(channel)
                if self._held is not None and struct.unpack_from(">HH", rest) == self._held.value:
                    await self._is_released.wait()
                if self._lost is not None and struct.unpack_from(">HH", rest) == self._lost.value:
                    if self._spared:
                        self._spared -= 1
                    else:
                        losing_content.add(channel)
                        self.lost += 1
            if channel not in losing_content:
                writer.write(head + rest)
                await writer.drain()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    while data := await reader.read(CHUNK_BYTES):
        await way.is_open.wait()
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError("the client has closed")
