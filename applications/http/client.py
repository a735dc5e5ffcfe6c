"""A service as the methods of an application ask it: with the words that connectors have."""

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Unpack

from applications.access import Access
from applications.errors import ServiceAway, ServiceRefused
from applications.http.errors import (
    CARRIED_OUT,
    SAFE_TO_REPEAT,
    ConnectionLost,
    HeadUnreadable,
    NotConnected,
    ReplyTruncated,
    ReplyUnreadable,
)
from applications.http.request import RequestOptions
from applications.http.response import Response
from applications.redaction import redact
from applications.token import Token

if TYPE_CHECKING:
    from applications.http.wire import Wire

_AGAIN_AFTER: Final = timedelta(minutes=1)
_SHOWN: Final = 200


class ClientOptions(RequestOptions, total=False):
    """What a request may carry besides method and path. One kind of body at most."""

    success: Collection[int]
    """Status codes that are no refusal either, such as 404 where something is deleted."""


class Client:
    """Asks a service as one user: base URL, common headers and authentication are set.

    `get`, `post` and their sisters return a successful reply (2xx). Any other raises `ServiceRefused`, which holds the
    reply; without one they raise `ServiceAway`. What a login lacks is raised as `NotReady` or `TryLater`.

    A path may have places for values, filled from `values` (a model or mapping): `get("/orders/{id}", order)`. What
    is filled in cannot leave its place. An absolute URL is taken as it is; one of another host gets neither the
    application's headers nor its sign-in.
    """

    def __init__(self, wire: "Wire", access: Callable[[], Awaitable[Access]], application: str) -> None:
        """`access` is asked for before each request; `application` is the key of the one whose service is asked."""
        self._wire = wire
        self._application = application
        self.access = access
        """Returns the way to the service: its base URL, headers and the user's settings. Raises as a request does."""

    async def token(self) -> Token | None:
        """Return the token that requests are signed with, if the service has such. Raises as a request does."""
        auth = (await self.access()).auth
        return await auth.token() if auth is not None else None

    async def get(self, path: str, values: Any = None, **options: Unpack[ClientOptions]) -> Response:
        """GET `path`."""
        return await self.request("GET", path, values, **options)

    async def post(self, path: str, values: Any = None, **options: Unpack[ClientOptions]) -> Response:
        """POST to `path`."""
        return await self.request("POST", path, values, **options)

    async def put(self, path: str, values: Any = None, **options: Unpack[ClientOptions]) -> Response:
        """PUT to `path`."""
        return await self.request("PUT", path, values, **options)

    async def patch(self, path: str, values: Any = None, **options: Unpack[ClientOptions]) -> Response:
        """PATCH `path`."""
        return await self.request("PATCH", path, values, **options)

    async def delete(self, path: str, values: Any = None, **options: Unpack[ClientOptions]) -> Response:
        """DELETE `path`."""
        return await self.request("DELETE", path, values, **options)

    async def request(self, method: str, path: str, values: Any = None, **options: Unpack[ClientOptions]) -> Response:
        """Send a request and return the successful reply.

        Raises `ServiceRefused`, `ServiceAway`, `NotReady`, `TryLater`, `ReplyUnreadable` for a reply above
        `max_bytes`, and `ValueError` for a path without base URL or a value that does not fit its place.
        """
        access = await self.access()
        reply = await self._send(access, method, path, values, options)
        if reply.is_success or reply.status in options.get("success", ()):
            return reply
        said = redact(reply.problem, access.secrets)[:_SHOWN]
        raise ServiceRefused(f"{reply}{f': {said}' if said else ''}", reply)

    async def _send(self, access: Access, method: str, path: str, values: Any, options: ClientOptions) -> Response:
        # Imported here: an application is declared, listed and shown without an HTTP library.
        from applications.http.building import build  # noqa: PLC0415 - see above
        from applications.http.wire import MAX_REPLY_BYTES, shown_url  # noqa: PLC0415 - see above

        request = build(access, method, path, values, options, self._application)
        stream, max_bytes = None, options.get("max_bytes", MAX_REPLY_BYTES)
        try:
            async with self._wire.open(request) as stream:
                is_good = stream.is_success or stream.status in options.get("success", ())
                content = await (stream.read(max_bytes) if is_good else stream.read_refusal(max_bytes))
        except (ConnectionLost, ReplyTruncated, HeadUnreadable) as error:
            if method not in SAFE_TO_REPEAT and (stream or isinstance(error, HeadUnreadable)):
                raise ReplyUnreadable(f"{method} {shown_url(request)}: {CARRIED_OUT}: {error}") from None
            why = "no connection" if isinstance(error, NotConnected) else type(error).__name__
            raise ServiceAway(f"{self._application} cannot be reached: {why}", _AGAIN_AFTER) from None
        return Response.of(stream, content)
