"""Connections to services: those of aiohttp, below httpx, with what both say of errors in words of ours.

With fifty requests at once they take a third of the CPU time of httpx' own. What leaves is what was signed: the target
is written byte for byte as httpx has it.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import httpx
from yarl import URL

from applications.http.egress import AddressInside, is_in, is_inside
from applications.http.errors import ConnectionLost, HeadUnreadable, NeverSent, NotConnected, TimedOut
from applications.http.observer import call_observer
from applications.http.route import NO_PROXY, Route

MOST_HEADERS: Final = 1000
"""Of one reply."""

LOST: Final = (httpx.TransportError, aiohttp.ClientError, TimeoutError)
"""How the libraries say that there is no reply, or not the whole of it."""

_WRONG: Final = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, aiohttp.InvalidURL)
"""How they say that a request cannot be sent."""


class Connections(httpx.AsyncBaseTransport):
    """Keep-alive connections; their number is bounded by the messages in work. Opened by the first request."""

    def __init__(self, route: Route, *, is_guarded: bool = False) -> None:
        """Those that are guarded do not lead to internal addresses, unless the route allows them."""
        self._route = route
        self._is_guarded = is_guarded
        self._proxy_for = lru_cache(maxsize=1024)(route.proxy_for)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; return its reply, of which the head has come. Raises errors of aiohttp."""
        url, timeout = str(request.url), request.extensions.get("timeout", {})
        proxy = self._proxy_for(f"{request.url.scheme}://{request.url.netloc.decode()}")
        if proxy and self._is_guarded:
            await _check_target(url, self._route.egress.allowed)
        reply = await self._session(is_proxied=bool(proxy)).request(
            request.method,
            URL(url, encoded=True),
            headers=request.headers,
            data=_body(request),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                sock_connect=timeout.get("connect"), sock_read=timeout.get("read"), connect=timeout.get("pool")
            ),
            proxy=proxy,
        )
        return httpx.Response(reply.status, headers=reply.raw_headers, stream=_Body(reply), request=request)

    def _session(self, *, is_proxied: bool) -> aiohttp.ClientSession:
        """Return the connections: those to proxies are apart, since a proxy may have an internal address."""
        if is_proxied not in self._sessions:
            self._sessions[is_proxied] = self._open(is_guarded=self._is_guarded and not is_proxied)
        return self._sessions[is_proxied]

    def _open(self, *, is_guarded: bool) -> aiohttp.ClientSession:
        opening = self._route.egress.open_socket if is_guarded else None
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_note_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_tls(self._route.ca_file), socket_factory=opening),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[tracing],
            auto_decompress=False,
            max_line_size=self._route.max_head_bytes,
            max_field_size=self._route.max_head_bytes,
            max_headers=MOST_HEADERS,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()


@lru_cache(maxsize=8)
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """Return the usual authorities and our own. Reading them takes as long as many requests."""
    context = httpx.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def direct() -> Connections:
    """Return connections to what stands beside the worker: they go through no proxy."""
    return Connections(Route(proxy=NO_PROXY))


class _Body(httpx.AsyncByteStream):
    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._reply.content.iter_chunked(1 << 14):
            yield piece

    async def aclose(self) -> None:
        await self._reply.__aexit__(None, None, None)


def _body(request: httpx.Request) -> Any:
    try:
        return request.content or None
    except httpx.RequestNotRead:
        request.headers.pop("transfer-encoding", None)  # aiohttp writes its own
        return request.stream


async def _check_target(url: str, allowed: tuple[str, ...]) -> None:
    """Look at the addresses of a host that a proxy will connect to; what we cannot resolve is the proxy's to judge.

    Raises `AddressInside`.
    """
    host = urlsplit(url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    for _, _, _, _, (address, *_) in found:
        if is_inside(str(address)) and not is_in(str(address), allowed):
            raise AddressInside("the address is internal")


async def _note_sent(*_: object) -> None:
    observer = call_observer.get()
    if observer is not None:
        await observer.sent(time.monotonic())


def ours(error: Exception) -> ConnectionLost | NeverSent | HeadUnreadable:
    """Return an error of the libraries as one of ours."""
    text = str(error) or type(error).__name__
    match error:
        case aiohttp.ClientHttpProxyError():
            return NotConnected(f"the proxy answered {error.status}")
        case aiohttp.ClientResponseError():
            return HeadUnreadable(_without_bytes(error.message))
        case aiohttp.ServerDisconnectedError() if not isinstance(error.message, str):
            return HeadUnreadable("the connection ended within the head of the reply")
        case aiohttp.ClientConnectorError() | httpx.ConnectError():
            return NotConnected(text)
        case httpx.TimeoutException() | TimeoutError():
            return TimedOut(text)
    return NeverSent(text) if isinstance(error, _WRONG) else ConnectionLost(text)


def _without_bytes(text: str) -> str:
    """Cut what was in the head: it may hold secrets."""
    return text.partition(":")[0].strip().lower()


def is_refused(error: BaseException | None) -> bool:
    """Whether it was the address that could not be connected to, and not the connection."""
    while error is not None and not isinstance(error, AddressInside):
        error = error.__cause__
    return error is not None
