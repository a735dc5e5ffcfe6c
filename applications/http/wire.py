"""The one place that knows the HTTP library (httpx): sends requests to services.

Its errors are those of `applications.http.errors`, and redirects never carry credentials to another host.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, cast
from urllib.parse import quote_plus, unquote_plus

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from applications.errors import EgressRefused, TryLater
from applications.http.connections import LOST, Connections, is_refused, ours
from applications.http.errors import NotConnected, ReplyUnreadable
from applications.http.headers import header_text
from applications.http.request import Auth, Credentials, Outgoing, Request
from applications.http.response import Head, Headers
from applications.http.route import Route
from applications.http.stream import Stream
from applications.http.transport import Reply, Transport
from applications.redaction import redact

MAX_REPLY_BYTES: Final = 64 << 20
MAX_REDIRECTS: Final = 20
ATTEMPTS: Final = 3
"""Of a call whose connection is refused."""

_FOLLOWED: Final = frozenset({"GET", "HEAD"})
"""Other methods are not sent elsewhere: after 301 and 302 they would become a GET, and an order would be lost."""
_HARMLESS: Final = frozenset({"accept", "accept-encoding", "user-agent"})
"""Headers that may go to another host."""
_SOON: Final = timedelta(seconds=1)


class Wire:
    """Keep-alive connections to services. Opened on first use; `close` it at the end.

    Cookies that services set are forgotten, since all users share the connections.
    """

    def __init__(
        self, *, timeout_seconds: float = 30, transport: Transport | None = None, route: Route | None = None
    ) -> None:
        """A `transport` takes the place of the network; without a `route` it is the usual one."""
        self._timeout = timeout_seconds
        self._transport = transport
        self._clients: dict[bool, httpx.AsyncClient] = {}
        self.route = route or Route()
        """How services are reached; to be set before the first request."""

    @asynccontextmanager
    async def open(self, request: Outgoing) -> AsyncIterator[Stream]:
        """Send a request as `send` does; the body of the reply is read by whoever holds it open."""
        stream = await self.send(request)
        try:
            yield stream
        finally:
            await stream.close()

    async def send(self, request: Outgoing) -> Stream:
        """Send a request and return its reply, which the caller closes.

        A refused connection is tried three times within about a second; replies are not, as each further call would
        pass by the limiter. An idempotent request whose connection ends without a reply is sent once more (RFC 9110,
        9.2.2), no other. Raises `ConnectionLost`, `NeverSent`, `HeadUnreadable` for a reply that is none, and
        `ReplyUnreadable` for too many redirects.
        """
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(NotConnected),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=0.5),
            reraise=True,
        ):
            with attempt:
                return _stream(await self._follow(request), request)
        raise AssertionError("tenacity returns or raises")

    async def _follow(self, request: Outgoing) -> httpx.Response:
        is_guarded = self.route.egress.is_for(is_from_install=request.is_from_install)
        built = self._build(self._client(is_guarded=is_guarded), request)
        auth: httpx.Auth | None = _Signing(request.auth) if request.auth else None
        if built.url.userinfo:  # aiohttp refuses credentials that stand in two places
            auth = auth or httpx.BasicAuth(built.url.username, built.url.password)
            built.url = built.url.copy_with(userinfo=b"")
        for _ in range(MAX_REDIRECTS + 1):
            reply = await self._send(built, auth, request, is_guarded=is_guarded)
            following = reply.next_request
            if following is None or request.method not in _FOLLOWED:
                return reply
            await reply.aclose()
            if not _is_at_home(following.url, built.url):
                auth = None
                _strip(following)
            if following.url.host != built.url.host:
                is_guarded = self.route.egress.is_for(is_from_install=request.is_from_install, is_redirected=True)
            built = following
        raise ReplyUnreadable(f"{request.method} {shown_url(request)}: more than {MAX_REDIRECTS} redirects")

    def _client(self, *, is_guarded: bool) -> httpx.AsyncClient:
        """Return the connections: those that are guarded are apart, since each was looked at when it was opened."""
        if is_guarded not in self._clients:
            place = _Place(self._transport) if self._transport else None
            way = place or Connections(self.route, is_guarded=is_guarded)
            self._clients[is_guarded] = _open_client(self._timeout, way)
        return self._clients[is_guarded]

    async def _send(
        self, built: httpx.Request, auth: httpx.Auth | None, request: Outgoing, *, is_guarded: bool
    ) -> httpx.Response:
        try:
            return await self._client(is_guarded=is_guarded).send(built, auth=auth, stream=True)
        except (*LOST, OSError) as error:
            if is_refused(error):
                shown = without_secrets(built.url, request.secrets)
                raise EgressRefused(f"{request.method} {shown}") from None
            raise ours(error) from error

    def _build(self, client: httpx.AsyncClient, request: Outgoing) -> httpx.Request:
        timeout = self._timeout if request.timeout_seconds is None else request.timeout_seconds
        body = {_BODY_NAMES.get(name, name): value for name, value in request.body.items()}
        headers = dict(request.headers)
        try:
            return client.build_request(request.method, request.url, headers=headers, timeout=timeout, **body)
        except httpx.InvalidURL as error:
            raise ours(error) from error

    async def close(self) -> None:
        """Close the connections."""
        while self._clients:
            _, client = self._clients.popitem()
            await client.aclose()


_BODY_NAMES: Final = {"form": "data"}


class _Signing(httpx.Auth):
    """Lets ours sign a request of the library's."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign and send; once more when there are other credentials after a refusal."""
        asked = Request(request.method, str(request.url), request.headers)
        if self._auth.needs_body(asked):
            asked = replace(asked, body=await _whole_body(request))
        async with aclosing(self._auth.sign(asked)) as signing:
            _carry(request, await anext(signing))
            reply = yield request
            head = Head(request.method, asked.url.partition("?")[0], reply.status_code, reply.headers)
            with suppress(StopAsyncIteration):
                _carry(request, await signing.asend(head))
                if not isinstance(request.stream, httpx.ByteStream):
                    raise TryLater("the token was renewed, and the body of the request cannot be sent twice", _SOON)
                yield request


async def _whole_body(request: httpx.Request) -> bytes:
    """Read a body that was to be sent in pieces, and let it be sent whole: the transport does not notice by itself."""
    body = await request.aread()
    if request.headers.pop("Transfer-Encoding", None):
        request.headers["Content-Length"] = str(len(body))
    return body


def _carry(request: httpx.Request, credentials: Credentials) -> None:
    for name, value in credentials.headers.items():
        request.headers[name] = header_text(name, value)
    if credentials.query:
        request.url = httpx.URL(with_query(str(request.url), credentials.query.items()))


def _stream(reply: httpx.Response, request: Outgoing) -> Stream:
    url = without_secrets(reply.url, request.secrets)
    return Stream(
        request.method, url, reply.status_code, _headers(reply), _pieces(reply), reply.aclose, address=str(reply.url)
    )


async def _pieces(reply: httpx.Response) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(cast("AsyncGenerator[bytes, None]", reply.aiter_raw())) as pieces:
            async for piece in pieces:
                yield piece
    except LOST as error:
        raise ours(error) from error


def _open_client(timeout_seconds: float, transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=timeout_seconds,
        transport=transport,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"Accept-Encoding": "gzip, deflate"},
    )


class _Place(httpx.AsyncBaseTransport):
    """Lets a transport of ours answer the library's requests."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the transport; what it answers is read as if it came from the network."""
        headers = Headers(request.headers.multi_items())
        seconds = request.extensions["timeout"]["read"]
        asked = Request(request.method, str(request.url), headers, await request.aread(), seconds)
        reply = await self._transport.send(asked)
        return httpx.Response(reply.status, headers=reply.headers, stream=httpx.ByteStream(reply.content))

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.close()


class Network(Transport):
    """The services themselves, one request at a time: redirects are replies. Opened by the first request."""

    def __init__(self, route: Route | None = None) -> None:
        """Without a `route` it is the usual one."""
        self._below = Connections(route or Route())

    async def send(self, request: Request) -> Reply:
        """Send a request and return the reply as it was sent, its content encoding too. Raises as `Wire.send` does."""
        sent = httpx.Request(
            request.method,
            request.url,
            headers=dict(request.headers),
            content=request.body,
            extensions={"timeout": httpx.Timeout(request.timeout_seconds).as_dict()},
        )
        try:
            reply = await self._below.handle_async_request(sent)
            try:
                content = b"".join([piece async for piece in reply.aiter_raw()])
            finally:
                await reply.aclose()
        except LOST as error:
            raise ours(error) from error
        return Reply(reply.status_code, content=content, headers=_headers(reply))

    async def close(self) -> None:
        """Close the connections."""
        await self._below.aclose()


def _headers(reply: httpx.Response) -> Headers:
    return Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers.raw)


def _is_at_home(url: httpx.URL, before: httpx.URL) -> bool:
    """Whether a redirect stays with its service, or goes to its encrypted address."""
    if url.host != before.host:
        return False
    is_encrypted_now = (before.scheme, before.port, url.scheme, url.port) == ("http", None, "https", None)
    return is_encrypted_now or (url.scheme, url.port) == (before.scheme, before.port)


def _strip(request: httpx.Request) -> None:
    for name in [name for name in request.headers if name not in _HARMLESS | {"host"}]:
        del request.headers[name]


def shown_url(request: Outgoing) -> str:
    """Return the URL of a request as people may see it."""
    return without_secrets(request.url, request.secrets)


def without_secrets(url: str | httpx.URL, secrets: Collection[str] = ()) -> str:
    """Return the URL without query and credentials, and without these secrets in its path."""
    url = str(url)
    if any(mark in url for mark in "?#@"):  # parsing takes as long as the rest of a call's bookkeeping
        url = str(httpx.URL(url).copy_with(query=None, fragment=None, userinfo=b""))
    return redact(url, secrets)


def with_query(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return the URL with these parameters, which win over equal names in it. What else is in it stays as it is."""
    added = list(pairs)
    names = {name for name, _ in added}
    rest, _, fragment = url.partition("#")
    path, _, query = rest.partition("?")
    kept = [part for part in query.split("&") if unquote_plus(part.partition("=")[0]) not in names] if query else []
    written = [f"{quote_plus(name)}={quote_plus(value)}" for name, value in added]
    return f"{path}?{'&'.join([*kept, *written])}{'#' if fragment else ''}{fragment}"


def origin_of(url: str) -> str:
    """Return scheme, host and port, to see whether two URLs lead to the same service."""
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode()}"


def is_elsewhere(url: str, base_url: str) -> bool:
    """Whether a URL leads to another service than the base URL, so that its credentials must not go there."""
    return bool(base_url) and not url.startswith(f"{base_url.rstrip('/')}/") and origin_of(url) != origin_of(base_url)
