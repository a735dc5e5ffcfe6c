"""What services say of their limits while an action is called."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from connectors import RateNotice

_heard: ContextVar[list[RateNotice] | None] = ContextVar("rate_notices", default=None)


@contextmanager
def hearing() -> Iterator[list[RateNotice]]:
    """Collect what services say while the context is open."""
    notices: list[RateNotice] = []
    token = _heard.set(notices)
    try:
        yield notices
    finally:
        _heard.reset(token)


def hear(notice: RateNotice) -> None:
    """Take note of a refusal, and of a limit that is used up; an overloaded service says nothing about its limit."""
    notices = _heard.get()
    if notices is not None and (notice.is_refusal or notice.remaining == 0):
        notices.append(notice)
