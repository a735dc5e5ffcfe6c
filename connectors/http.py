"""HTTP calls of actions: the one place that knows the HTTP library (httpx).

A reply is read with a bound on its size, its compression is undone here (the library does not notice one that ends
too early), and redirects never carry credentials to another host.
"""

import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from applications import Access, Application
from applications.hiding import hide
from connectors.errors import ReplyTruncated, ReplyUnreadable
from connectors.formats import GZIP, Inflater
from connectors.message import current_message
from connectors.rate import RateNotice
from connectors.response import Head, Headers

MAX_REPLY_BYTES: Final = 64 << 20
MAX_REDIRECTS: Final = 20
ATTEMPTS: Final = 3
"""Of a call whose connection is refused."""

_FOLLOWED: Final = frozenset({"GET", "HEAD"})
"""Other methods are not sent elsewhere: after 301 and 302 they would become a GET, and an order would be lost."""
_HARMLESS: Final = frozenset({"accept", "accept-encoding", "user-agent"})
"""Headers that may go to another host."""

ConnectionLost = (httpx.TransportError, aiohttp.ClientError)
"""No reply, or not the whole of it."""


NeverSent = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
"""The request is wrong; sending it again would not help."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `content` holds the body as httpx names it; what may hold secrets is not shown."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)
    auth: httpx.Auth | None = field(default=None, repr=False)
    timeout_seconds: float | None = None
    application: str = ""
    secrets: Collection[str] = field(default=(), repr=False)
    """What no URL and no error may show."""

    @property
    def shown_url(self) -> str:
        """The URL as people may see it."""
        return without_secrets(self.url, self.secrets)


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
    request: Request | None = field(default=None, repr=False, compare=False)

    @property
    def url(self) -> str:
        """The URL as people may see it; empty when nobody knows it."""
        return self.request.shown_url if self.request else ""


requests_sent: ContextVar[Callable[[float], Awaitable[None]] | None] = ContextVar("requests_sent", default=None)
"""Is told when a request of this context is written to its connection, by the monotonic clock; None: nobody asks."""


def _ignore(_: object) -> None:
    """Nobody wants to know."""


FindAccess = Callable[[type[Application]], Awaitable[Access]]


async def of_class(application: type[Application]) -> Access:
    """The way to a service that every user has in common: what the application's class says."""
    return Access(application.base_url, application.headers, limit=application.limit)


class Http:
    """A shared HTTP client with keep-alive connections. Opened on first use; `close` it at the end.

    Below httpx lie aiohttp's connections: with fifty requests at once they take a third of the CPU time of httpx' own.
    Cookies that services set are forgotten, since all users share the client.

    The worker sets the three attributes: `access` finds the way to a service for the user of the message in work,
    `rate_noticed` is told what services say about their limits, `called` is told of each call.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = 30,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """A `transport` takes the place of the network."""
        self.max_reply_bytes = max_reply_bytes
        self.access: FindAccess = of_class
        self.rate_noticed: Callable[[RateNotice], object] = _ignore
        self.called: Callable[[Call], object] = _ignore
        self._timeout = timeout_seconds
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator["Stream"]:
        """Send a request; the body of the reply is read by whoever holds it open.

        A refused connection is tried three times within about a second; replies are not, as each further call would
        pass by the limiter. An idempotent request whose connection ends without a reply is sent once more (RFC 9110,
        9.2.2), no other. Raises `ConnectionLost`.
        """
        async with AsyncExitStack() as stack:
            reply = await self._measured(request)
            stack.push_async_callback(reply.aclose)
            yield Stream(reply, request)

    async def _measured(self, request: Request) -> httpx.Response:
        started, status, is_timeout = time.perf_counter(), 0, False
        try:
            reply = await self._with_retries(request)
            status = reply.status_code
        except httpx.TimeoutException as error:
            is_timeout = not _is_unsent(error)  # the transport calls a refused connection a timeout as well
            raise
        finally:
            self._note(request, status, time.perf_counter() - started, is_timeout=is_timeout)
        return reply

    def _note(self, request: Request, status: int, seconds: float, *, is_timeout: bool) -> None:
        message = current_message.get()
        host = urlsplit(request.url).hostname or ""
        user = message.user if message else ""
        self.called(Call(request.method, host, status, seconds, request.application, user, is_timeout, request))

    async def _with_retries(self, request: Request) -> httpx.Response:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_is_unsent),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=0.5),
            reraise=True,
        ):
            with attempt:
                return await self._follow(request)
        raise AssertionError("tenacity returns or raises")

    async def _follow(self, request: Request) -> httpx.Response:
        if self._client is None:
            self._client = _open_client(self._timeout, self._transport)
        built = self._build(self._client, request)
        auth = request.auth
        if built.url.userinfo:  # aiohttp refuses credentials that stand in two places
            auth = auth or httpx.BasicAuth(built.url.username, built.url.password)
            built.url = built.url.copy_with(userinfo=b"")
        for _ in range(MAX_REDIRECTS + 1):
            reply = await self._client.send(built, auth=auth, stream=True)
            following = reply.next_request
            if following is None or request.method not in _FOLLOWED:
                return reply
            await reply.aclose()
            if not _is_at_home(following.url, built.url):
                auth = None
                _strip(following)
            built = following
        raise ReplyUnreadable(f"{request.method} {request.shown_url}: more than {MAX_REDIRECTS} redirects")

    def _build(self, client: httpx.AsyncClient, request: Request) -> httpx.Request:
        timeout = self._timeout if request.timeout_seconds is None else request.timeout_seconds
        return client.build_request(
            request.method, request.url, headers=dict(request.headers), timeout=timeout, **request.content
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class Stream(Head):
    """A reply whose body is still to be read, without its content encoding."""

    def __init__(self, reply: httpx.Response, request: Request) -> None:
        url = without_secrets(reply.url, request.secrets)
        super().__init__(request.method, url, reply.status_code, _headers(reply))
        self._reply = reply

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces. Raises `ReplyTruncated`, `ReplyUnreadable` and `ConnectionLost`."""
        if self._reply.is_stream_consumed:  # a way of signing in has read it already
            yield self._reply.content
            return
        inflater = self._inflater()
        try:
            async for raw in self._reply.aiter_raw():
                for plain in inflater.feed(raw) if inflater else (raw,):
                    yield plain
            if inflater:
                inflater.finish()
        except ReplyTruncated as error:
            raise ReplyTruncated(f"{self}: {error}") from None
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None

    def _inflater(self) -> Inflater | None:
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding in {"", "identity"} or self.method == "HEAD":
            return None
        if encoding not in {"gzip", "x-gzip", "deflate"}:
            raise ReplyUnreadable(f"content encoding {encoding!r}, which was not asked for")
        return Inflater(zlib.MAX_WBITS if encoding == "deflate" else GZIP)

    async def read(self, max_bytes: int) -> bytes:
        """Return the whole body. Raises `ReplyUnreadable` when it is larger than `max_bytes`."""
        parts, size = [], 0
        async for part in self.chunks():
            size += len(part)
            if size > max_bytes:
                raise self.unreadable(
                    f"the body is larger than {max_bytes} bytes; read it with `stream`, or allow more with `max_bytes`"
                )
            parts.append(part)
        return b"".join(parts)


def _open_client(timeout_seconds: float, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=timeout_seconds,
        transport=transport or network(),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"Accept-Encoding": "gzip, deflate"},
    )


def network() -> httpx.AsyncBaseTransport:
    """Return the way to services that `Http` takes when it is given none."""
    return AiohttpTransport(client=_open_session)


def _open_session() -> aiohttp.ClientSession:
    """Make the connections; their number is bounded by the messages in work."""
    connector = aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context())
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_note_sent)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[tracing])


async def _note_sent(*_: object) -> None:
    tell = requests_sent.get()
    if tell is not None:
        await tell(time.monotonic())


def _is_unsent(error: BaseException) -> bool:
    """Whether there was no connection, so that the service has seen nothing of the request."""
    return isinstance(error, httpx.ConnectError) or isinstance(error.__cause__, aiohttp.ClientConnectorError)


def _headers(reply: httpx.Response) -> Headers:
    return Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers.raw)


def _is_at_home(url: httpx.URL, before: httpx.URL) -> bool:
    """Whether a redirect stays with its service, be it that it goes on encrypted."""
    if url.host != before.host:
        return False
    is_encrypted_now = (before.scheme, before.port, url.scheme, url.port) == ("http", None, "https", None)
    return is_encrypted_now or (url.scheme, url.port) == (before.scheme, before.port)


def _strip(request: httpx.Request) -> None:
    for name in [name for name in request.headers if name not in _HARMLESS | {"host"}]:
        del request.headers[name]


def without_secrets(url: str | httpx.URL, secrets: Collection[str] = ()) -> str:
    """Return the URL without query and credentials, and without these secrets in its path."""
    url = str(url)
    if any(mark in url for mark in "?#@"):  # parsing takes as long as the rest of a call's bookkeeping
        url = str(httpx.URL(url).copy_with(query=None, fragment=None, userinfo=b""))
    return hide(url, secrets)


def with_query(url: str, params: Mapping[str, Any]) -> str:
    """Return the URL with these parameters; they win over equal names in it."""
    return str(httpx.URL(url).copy_merge_params(dict(params)))


def origin_of(url: str) -> str:
    """Return scheme, host and port, to see whether two URLs lead to the same service."""
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode()}"


def is_elsewhere(url: str, base_url: str) -> bool:
    """Whether a URL leads to another service than the base URL, so that its credentials must not go there."""
    return bool(base_url) and not url.startswith(f"{base_url.rstrip('/')}/") and origin_of(url) != origin_of(base_url)
