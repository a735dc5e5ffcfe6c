"""HTTP calls of actions: one client for all, which tells the worker of each call and of limits."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from applications import Application
from applications.access import Access
from applications.http.errors import TimedOut
from applications.http.request import Outgoing
from applications.http.route import Route
from applications.http.stream import Stream
from applications.http.transport import Transport
from applications.http.wire import MAX_REPLY_BYTES, Wire, shown_url
from connectors.message import current_message
from connectors.rate import RateNotice


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was made, for logs and metrics. Without query and body: those may hold secrets."""

    method: str
    host: str
    status: int
    """0 when there was no reply."""
    seconds: float
    application: str
    user: str
    is_timeout: bool = False
    """Whether there was no reply in time."""
    request: Outgoing | None = field(default=None, repr=False, compare=False)

    @property
    def url(self) -> str:
        """The URL as people may see it; empty when nobody knows it."""
        return shown_url(self.request) if self.request else ""


def _ignore(_: object) -> None:
    """Nobody wants to know."""


FindAccess = Callable[[type[Application], str, str], Awaitable[Access]]
"""Finds the way of a user to the service of an application; the last is the message's `sdk`."""


async def of_class(application: type[Application], _: str, __: str = "") -> Access:
    """The way to a service that every user has in common: what the application's class says."""
    return Access(application.base_url, application.headers, limit=application.limit)


class Http:
    """A shared HTTP client with keep-alive connections. Opened on first use; `close` it at the end.

    The worker sets the three attributes: `access` finds the way of a user to a service,
    `rate_noticed` is told what services say about their limits, `called` is told of each call.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = 30,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        transport: Transport | None = None,
    ) -> None:
        """A `transport` takes the place of the network."""
        self.max_reply_bytes = max_reply_bytes
        self.access: FindAccess = of_class
        self.rate_noticed: Callable[[RateNotice], object] = _ignore
        self.called: Callable[[Call], object] = _ignore
        self._wire = Wire(timeout_seconds=timeout_seconds, transport=transport)

    def take(self, route: Route) -> None:
        """Reach services by this route."""
        self._wire.route = route

    @asynccontextmanager
    async def open(self, request: Outgoing) -> AsyncIterator[Stream]:
        """Send a request as `Wire.send` does; the body of the reply is read by whoever holds it open."""
        stream = await self._measured(request)
        try:
            yield stream
        finally:
            await stream.close()

    async def _measured(self, request: Outgoing) -> Stream:
        started, status, is_timeout = time.perf_counter(), 0, False
        try:
            stream = await self._wire.send(request)
            status = stream.status
        except TimedOut:
            is_timeout = True
            raise
        finally:
            self._note(request, status, time.perf_counter() - started, is_timeout=is_timeout)
        return stream

    def _note(self, request: Outgoing, status: int, seconds: float, *, is_timeout: bool) -> None:
        message = current_message.get()
        host = urlsplit(request.url).hostname or ""
        user = message.user if message else ""
        self.called(Call(request.method, host, status, seconds, request.application, user, is_timeout, request))

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()
