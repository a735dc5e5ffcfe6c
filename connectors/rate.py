"""What a service says about its rate limit: learned by whoever listens, for all workers."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

TOO_MANY_REQUESTS = 429
EPOCH_FROM = 10**9
"""A larger `reset` is a moment (seconds since the epoch), a smaller one a time from now."""

REMAINING = ("x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining")
RESET = ("x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset")


@dataclass(frozen=True, slots=True)
class RateNotice:
    """The service's word on further calls."""

    resume_after_seconds: float | None
    """No call before this time has passed."""
    is_refusal: bool
    """The call was refused (429): the limit is lower than we thought."""


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


def note(status: int, headers: Mapping[str, str]) -> None:
    """Tell whoever listens what the headers of a reply say of the rate limit; `headers` in lower case or any."""
    notices = _heard.get()
    if notices is None:
        return
    seconds = resume_after(status, headers)
    if seconds is not None or status == TOO_MANY_REQUESTS:
        notices.append(RateNotice(seconds, status == TOO_MANY_REQUESTS))


def resume_after(status: int, headers: Mapping[str, str]) -> float | None:
    """Return for how long no call may follow: `Retry-After`, or the reset of a limit with nothing remaining."""
    if status == TOO_MANY_REQUESTS and (named := _seconds(headers.get("retry-after"))) is not None:
        return named
    remaining = next((headers[name] for name in REMAINING if name in headers), None)
    if status == TOO_MANY_REQUESTS or remaining == "0":
        return _seconds(next((headers[name] for name in RESET if name in headers), None))
    return None


def _seconds(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return _seconds_until(value)
    if number >= EPOCH_FROM:
        number -= time.time()
    return max(number, 0.0) if number < EPOCH_FROM else None


def _seconds_until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0) if moment.tzinfo else None
