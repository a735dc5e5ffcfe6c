"""What the limits can learn while an action is called: when its requests leave, and what services say."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from applications.http.wire import requests_sent
from connectors.rate import RateNotice


@dataclass(slots=True)
class Heard:
    """What was heard of one call."""

    notices: list[RateNotice] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    """When its requests were sent, by the monotonic clock; empty when the action has its own way to the service."""


_heard: ContextVar[Heard | None] = ContextVar("heard", default=None)
"""What is heard of the call in work. A context variable because all actions share the client that tells of replies."""


@contextmanager
def hearing(sent: Callable[[float], Awaitable[None]]) -> Iterator[Heard]:
    """Listen while the context is open; `sent` is told at once when a request leaves."""
    heard = Heard()

    async def note(at: float) -> None:
        heard.sent.append(at)
        await sent(at)

    token, sent_token = _heard.set(heard), requests_sent.set(note)
    try:
        yield heard
    finally:
        requests_sent.reset(sent_token)
        _heard.reset(token)


def hear(notice: RateNotice) -> None:
    """Take note of a refusal, and of a limit that is used up; an overloaded service says nothing about its limit."""
    heard = _heard.get()
    if heard is not None and (notice.is_refusal or notice.remaining == 0):
        heard.notices.append(notice)
