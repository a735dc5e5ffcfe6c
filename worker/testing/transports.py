"""What answers the requests of actions in tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import isawaitable
from itertools import chain, repeat
from typing import Any, Final

from applications.http.compression import decoded
from applications.http.errors import ConnectionLost, ReplyUnreadable
from applications.http.request import Request
from applications.http.response import Response
from applications.http.transport import Reply, Transport
from applications.http.wire import Network, without_secrets
from connectors.secrets import known_secrets
from worker.errors import EndsTest

_MOST: Final = 1 << 30
_OF_THE_BYTES_SENT: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that say how a body was sent, and nothing of what it is."""


class UnexpectedRequest(EndsTest):
    """A request that the test has no answer for."""


class _Answering(Transport):
    def __init__(self, answer: Callable[[Request], Any]) -> None:
        self._answer = answer

    async def send(self, request: Request) -> Reply:
        """Return the reply, made of what the function returns."""
        reply = self._answer(request)
        while callable(reply) or isawaitable(reply):
            reply = await reply if isawaitable(reply) else reply(request)
        if isinstance(reply, BaseException):
            raise reply
        return reply if isinstance(reply, Reply) else Reply(json=reply)


def answering(*replies: Any) -> Transport:
    """Return a service that gives these replies in order, the last one again and again.

    JSON data is sent with status 200, a `Reply` as it is. An error is raised: `ConnectionLost`, `NotConnected` or
    `TimedOut`. A function is called with the `Request`, and returns one of these. Without replies each request raises
    `UnexpectedRequest`.
    """
    left: Iterator[Any] = chain(replies, repeat(replies[-1])) if replies else iter(())
    return _Answering(
        lambda request: next(left, UnexpectedRequest(f"{request.method} {request.url}: there are no `replies`"))
    )


def network() -> Transport:
    """Return the services themselves, for a test that shall call them."""
    return Network()


def no_network() -> Transport:
    """Return a service that fails the test at the first request."""
    return _Answering(
        lambda request: UnexpectedRequest(
            f"{request.method} {without_secrets(request.url)} in a test without HTTP: give http=answering(...), "
            "http=Cassette(...), or http=network() to call the service itself"
        )
    )


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what came of it. Both hold secrets; `worker.testing.scrub` hides them."""

    request: Request
    reply: Response | None
    """None when there was none."""
    error: str = ""
    """Why there is no reply."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Those of the install that was used."""


class RecordingTransport(Transport):
    """Keeps what passes: `exchanges`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.exchanges: list[Exchange] = []

    async def send(self, request: Request) -> Reply:
        """Pass the request on."""
        try:
            reply = await self._transport.send(request)
        except ConnectionLost as error:
            self.exchanges.append(Exchange(request, None, f"{type(error).__name__}: {error}", known_secrets()))
            raise
        plain = _plain(reply, is_head=request.method == "HEAD")
        response = Response(request.method, without_secrets(request.url), plain.status, plain.headers, plain.content)
        self.exchanges.append(Exchange(request, response, secrets=known_secrets()))
        return reply

    async def close(self) -> None:
        """Close what is below."""
        await self._transport.close()


def _plain(reply: Reply, *, is_head: bool) -> Reply:
    """Return the reply without its content encoding; one that cannot be undone stays as it is."""
    try:
        content = reply.content if is_head else decoded(reply.content, reply.headers.get("content-encoding", ""), _MOST)
    except ReplyUnreadable:
        return reply
    headers = {name: text for name, text in reply.headers.items() if name not in _OF_THE_BYTES_SENT}
    return Reply(reply.status, content=content, headers=headers)
