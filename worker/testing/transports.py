"""What answers the requests of actions in tests."""

from dataclasses import dataclass, field

import httpx

from connectors.secrets import known_secrets
from worker.errors import EndsTest


class UnexpectedRequest(EndsTest):
    """A request that the test has no answer for."""


def no_network() -> httpx.AsyncBaseTransport:
    """Return a transport that fails the test at the first request."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise UnexpectedRequest(
            f"{request.method} {request.url.copy_with(query=None)} in a test without HTTP: give http=Cassette(...), "
            "http=httpx.MockTransport(...), or http=network() to call the service itself"
        )

    return httpx.MockTransport(refuse)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what came of it. Both hold secrets; `worker.testing.scrub` hides them."""

    request: httpx.Request
    reply: httpx.Response | None
    error: str = ""
    """Why there is no reply."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Those of the install that was used."""


class RecordingTransport(httpx.AsyncBaseTransport):
    """Keeps what passes: `exchanges`."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.exchanges: list[Exchange] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass the request on; request and reply are read whole."""
        await request.aread()
        try:
            reply = await self._transport.handle_async_request(request)
            reply.request = request
            await reply.aread()
        except httpx.TransportError as error:
            self.exchanges.append(Exchange(request, None, f"{type(error).__name__}: {error}", known_secrets()))
            raise
        plain = decoded(reply)
        self.exchanges.append(Exchange(request, plain, secrets=known_secrets()))
        return plain

    async def aclose(self) -> None:
        """Close what is below."""
        await self._transport.aclose()


def decoded(reply: httpx.Response) -> httpx.Response:
    """Return a reply that has been read, without the encodings that it was sent with."""
    dropped = {"content-encoding", "content-length", "transfer-encoding"}
    headers = [(name, value) for name, value in reply.headers.multi_items() if name not in dropped]
    return httpx.Response(reply.status_code, headers=headers, content=reply.content, request=reply.request)
