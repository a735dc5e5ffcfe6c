"""Connections that bring no request in time are closed, so that the probes always find a free one.

aiohttp limits neither the time of a request's head nor the number of connections. Each connection is therefore watched
from outside: `Connection` stands between the transport and aiohttp's protocol, and a middleware tells it when a request
begins and when it is answered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final, cast

import structlog
from aiohttp import web

from worker.doors.bodies import BODY, Body, BodyBytes

log = structlog.get_logger()

HEAD_SECONDS = 10.0
"""From the first byte of a request, or from the connect, to the end of its headers."""
IDLE_SECONDS = 75.0
"""Between two requests of a connection, the time to read the answer included; more than the 60 seconds of proxies."""
LINGER_SECONDS = 15.0
"""For the rest of a body that nobody reads; aiohttp reads it for ten seconds, so that the answer gets through."""
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_REQUESTS: Final = 400
"""At once; the supervisor needs two descriptors for each, and 1,024 is a usual limit."""
SPARE: Final = 32
"""Connections beyond these requests."""
PROBES: Final = frozenset({"/readyz", "/healthz"})
"""Paths that are answered however many requests are in work."""
LOG_SECONDS: Final = 60.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Phase(Enum):
    HEAD = auto()
    WHOLE_HEAD = auto()
    REQUEST = auto()
    LINGERING = auto()
    IDLE = auto()


class Doorkeeper:
    """Lets connections in, the newest in place of one that waits, and bounds what is in work."""

    def __init__(self, serve: Callable[[], asyncio.Protocol]) -> None:
        """Hand connections to the protocols that `serve` makes."""
        self._serve = serve
        self._connections: dict[asyncio.BaseTransport, Connection] = {}
        self._requests = 0
        self._bytes = BodyBytes()
        self._quiet_until = 0.0

    def __call__(self) -> asyncio.Protocol:
        """Make the protocol of a new connection."""
        return Connection(self, self._serve())

    def enter(self, connection: "Connection", transport: asyncio.BaseTransport) -> bool:
        """Take a connection, if need be in place of the one that has waited longest; False if all are at work."""
        if len(self._connections) >= MAX_REQUESTS + SPARE:
            self._tell("connections")
            waiting = next((other for other in self._connections.values() if not other.is_in_work), None)
            if waiting is None:
                return False
            waiting.abort()
        self._connections[transport] = connection
        return True

    def leave(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection."""
        self._connections.pop(transport, None)

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, unless too many are in work."""
        connection = self._connections.get(request.transport) if request.transport is not None else None
        if connection is not None:
            connection.begin()
        try:
            return await (handler(request) if request.path in PROBES else self._in_turn(request, handler))
        finally:
            if connection is not None:
                connection.end(is_read=request.content.is_eof())

    async def _in_turn(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._requests >= MAX_REQUESTS:
            self._tell("requests")
            raise web.HTTPServiceUnavailable(text="too many requests at once; try again", headers={"Retry-After": "1"})
        self._requests += 1
        body = request[BODY] = Body(self._bytes)
        try:
            return await _contained(handler, request)
        finally:
            body.release()
            self._requests -= 1

    def _tell(self, what: str) -> None:
        """Say that the doors are full; once a minute, because it happens when somebody floods them."""
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            self._quiet_until = now + LOG_SECONDS
            log.warning("http_full", of=what, connections=len(self._connections), requests=self._requests)


async def _contained(handler: Handler, request: web.Request) -> web.StreamResponse:
    """Answer a request. What somebody's code raises or leaves costs this request, not the connection or the process.

    All requests of a connection have one task, and a failed `TaskGroup` leaves its count of cancels too high.
    """
    task = asyncio.current_task()
    assert task is not None, "a server answers in tasks"
    cancels = task.cancelling()
    try:
        answer = await handler(request)
    except (Exception, asyncio.CancelledError):
        raise  # the server knows what they mean
    except BaseException as error:
        if asyncio.current_task() is None:  # the task is closed
            raise
        log.exception("http_answer_failed", path=request.match_info.get_info().get("formatter"))
        raise web.HTTPInternalServerError from error
    while task.cancelling() > cancels:
        task.uncancel()
    return answer


class Connection(asyncio.Protocol):
    """Passes on what the transport says, and ends the connection when no request comes of it in time."""

    def __init__(self, keeper: Doorkeeper, served: asyncio.Protocol) -> None:
        self._keeper = keeper
        self._served = served
        self._phase = _Phase.HEAD
        self._head = bytearray()
        self._is_let_in = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_in_work(self) -> bool:
        """Whether a request is being answered."""
        return self._phase is _Phase.REQUEST

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_let_in = self._keeper.enter(self, transport)
        if not self._is_let_in:
            self._transport.abort()
            return
        self._served.connection_made(transport)
        self._wait(_Phase.HEAD, HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; the first ones after a pause begin a head."""
        if self._phase is _Phase.IDLE:
            self._wait(_Phase.HEAD, HEAD_SECONDS)
        if self._phase is _Phase.HEAD and not self._is_head_small(data):
            self._refuse(431, "Request Header Fields Too Large")
        elif self._is_let_in:
            self._served.data_received(data)

    def begin(self) -> None:
        """Note that a head is complete and its request is in work."""
        self._wait(_Phase.REQUEST, None)

    def end(self, *, is_read: bool) -> None:
        """Note that the request is answered, and whether its whole body has come."""
        if is_read:
            self._wait(_Phase.IDLE, IDLE_SECONDS)
        else:
            self._wait(_Phase.LINGERING, LINGER_SECONDS)

    def abort(self) -> None:
        """End the connection at once."""
        self._keeper.leave(self._transport)
        self._wait(_Phase.LINGERING, None)
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._is_let_in:
            self._keeper.leave(self._transport)
            self._wait(_Phase.LINGERING, None)
            self._served.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._served.eof_received()

    def pause_writing(self) -> None:
        """Pass it on."""
        self._served.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._served.resume_writing()

    def _wait(self, phase: _Phase, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._phase = phase
        self._head.clear()
        is_open = seconds is not None and not self._transport.is_closing()
        self._timer = asyncio.get_running_loop().call_later(seconds or 0, self._give_up) if is_open else None

    def _give_up(self) -> None:
        if self._phase is _Phase.HEAD:
            self._refuse(408, "Request Timeout")
        else:
            self.abort()

    def _refuse(self, status: int, reason: str) -> None:
        self._keeper.leave(self._transport)
        self._wait(_Phase.LINGERING, LINGER_SECONDS)
        self._transport.write(f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        self._transport.close()

    def _is_head_small(self, data: bytes) -> bool:
        """Count the bytes of a head; those behind its end belong to the body."""
        searched_from = max(0, len(self._head) - 3)
        self._head += (data if self._head else data.lstrip(b"\r\n"))[: MAX_HEAD_BYTES + 1]
        if self._head.find(b"\r\n\r\n", searched_from) >= 0:
            self._wait(_Phase.WHOLE_HEAD, HEAD_SECONDS)
            return True
        return len(self._head) <= MAX_HEAD_BYTES
