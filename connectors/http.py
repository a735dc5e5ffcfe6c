"""HTTP calls of actions: the one place that knows the HTTP library (httpx).

What a reply means for the message is decided here as well: 429 and 503 repeat after the time that the service
names, other 5xx and lost connections repeat, other refusals go to the trash.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from pydantic import TypeAdapter
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from connectors.errors import RepeatLater, StopAndFail
from connectors.rate import note

Model = TypeVar("Model")

DEFAULT_REPEAT = timedelta(seconds=60)
"""How long a message waits when the service does not say, as in the platform's own SDK."""


class Http:
    """A shared HTTP client with keep-alive connections. Opened on first use; `close` it at the end.

    Below httpx lie aiohttp's connections: with fifty requests at once they take a third of the CPU time of httpx' own.
    Cookies that services set are forgotten, since all users share the client.
    """

    def __init__(self, *, timeout_seconds: float = 30, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._timeout = timeout_seconds
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def request(self, method: str, url: str, *, headers: Mapping[str, str], **content: Any) -> httpx.Response:
        """Send a request. A refused connection is tried three times within about a second.

        An idempotent request whose connection ends without a reply is sent once more (RFC 9110, 9.2.2), no other.
        """
        if self._client is None:
            self._client = _open_client(self._timeout, self._transport)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_is_unsent),
            stop=stop_after_attempt(3),
            wait=wait_random_exponential(multiplier=0.1, max=0.5),
            reraise=True,
        ):
            with attempt:
                return await self._client.request(method, url, headers=headers, **content)
        raise AssertionError("tenacity returns or raises")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _open_client(timeout_seconds: float, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=timeout_seconds,
        transport=transport or AiohttpTransport(client=_open_session),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


def _open_session() -> aiohttp.ClientSession:
    """Make the connections; their number is bounded by the messages in work."""
    connector = aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context())
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _is_unsent(error: BaseException) -> bool:
    """Whether there was no connection, so that the service has seen nothing of the request."""
    return isinstance(error, httpx.ConnectError) or isinstance(error.__cause__, aiohttp.ClientConnectorError)


@dataclass(frozen=True, slots=True)
class Response:
    """A reply with a 2xx status."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """Return the body as plain JSON values; raises `ValueError` when it is none."""
        return TypeAdapter(Any).validate_json(self.content)

    def model(self, model: type[Model]) -> Model:
        """Return the body as this type; raises pydantic's `ValidationError` with the place that does not fit."""
        return TypeAdapter(model).validate_json(self.content)

    def models(self, model: type[Model]) -> list[Model]:
        """Return the body, a JSON array, as a list of this type."""
        return TypeAdapter(list[model]).validate_json(self.content)  # type: ignore[valid-type]  # made at run time


@dataclass(frozen=True, slots=True)
class Service:
    """One service: requests are relative to its base URL and carry its common headers."""

    http: Http
    base_url: str
    headers: Mapping[str, str]

    async def get(self, path: str, **content: Any) -> Response:
        """GET `path`; `params=` and `headers=` as in httpx."""
        return await self.request("GET", path, **content)

    async def post(self, path: str, **content: Any) -> Response:
        """POST to `path`; `json=`, `data=` or `content=` as in httpx."""
        return await self.request("POST", path, **content)

    async def put(self, path: str, **content: Any) -> Response:
        """PUT to `path`."""
        return await self.request("PUT", path, **content)

    async def patch(self, path: str, **content: Any) -> Response:
        """PATCH `path`."""
        return await self.request("PATCH", path, **content)

    async def delete(self, path: str, **content: Any) -> Response:
        """DELETE `path`."""
        return await self.request("DELETE", path, **content)

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **content: Any
    ) -> Response:
        """Send a request and return the 2xx reply.

        Raises `RepeatLater` for a lost connection, 429 and 5xx, and `StopAndFail` for any other status, so that an
        action needs no branch for them.
        """
        url = f"{self.base_url.rstrip('/')}/{path.lstrip('/')}" if self.base_url else path
        try:
            reply = await self.http.request(method, url, headers={**self.headers, **(headers or {})}, **content)
        except (httpx.TransportError, aiohttp.ClientError) as error:
            raise RepeatLater(DEFAULT_REPEAT, f"{method} {url}: {type(error).__name__}: {error}") from error
        note(reply.status_code, reply.headers)
        verdict = f"{method} {reply.url.copy_with(query=None)} answered {reply.status_code}"
        if reply.status_code == HTTPStatus.TOO_MANY_REQUESTS or reply.is_server_error:
            raise RepeatLater(retry_after(reply.headers.get("retry-after")) or DEFAULT_REPEAT, verdict)
        if not reply.is_success:
            raise StopAndFail(verdict)
        return Response(reply.status_code, reply.headers, reply.content)


def retry_after(value: str | None) -> timedelta | None:
    """Read a `Retry-After` header (RFC 9110, 10.2.3): seconds or a date. None when absent or unreadable."""
    if value is None:
        return None
    if value.isdecimal():
        return timedelta(seconds=int(value))
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(moment - datetime.now(UTC), timedelta(0))
