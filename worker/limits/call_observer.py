"""What the limits can learn while an action is called: when its requests leave, and what services say."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from applications.http.observer import call_observer
from connectors.rate import RateNotice


@dataclass(slots=True)
class Observed:
    """What was observed of one call."""

    notices: list[RateNotice] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    """When its requests were sent, by the monotonic clock; empty when the action has its own way to the service."""


@dataclass(frozen=True, slots=True)
class _Observer:
    observed: Observed
    told: Callable[[float], Awaitable[None]]

    async def sent(self, at: float) -> None:
        self.observed.sent.append(at)
        await self.told(at)


@contextmanager
def observing(told: Callable[[float], Awaitable[None]]) -> Iterator[Observed]:
    """Observe what is called while the context is open; `told` hears at once when a request leaves."""
    observed = Observed()
    token = call_observer.set(_Observer(observed, told))
    try:
        yield observed
    finally:
        call_observer.reset(token)


def rate_noticed(notice: RateNotice) -> None:
    """Take note of a refusal, and of a limit that is used up; an overloaded service says nothing about its limit."""
    observer = call_observer.get()
    if isinstance(observer, _Observer) and (notice.is_refusal or notice.remaining == 0):
        observer.observed.notices.append(notice)
