"""Times that a service names in the headers of a reply, relative to the reply."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT: Final = timedelta(days=1)
"""A service that names a later moment is asked again by then."""


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds or a date. None when absent or unreadable."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    seconds = read_number(value)
    if seconds is None:
        moment = read_date(value)
        seconds = (moment - service_time(headers)).total_seconds() if moment else None
    return None if seconds is None else bounded(seconds)


def bounded(seconds: float) -> timedelta:
    """Return the time to wait: not below zero, and not above `LONGEST_WAIT`."""
    return min(max(timedelta(seconds=min(seconds, LONGEST_WAIT.total_seconds())), timedelta(0)), LONGEST_WAIT)


def read_number(value: str) -> float | None:
    """Read a number that is not negative; None for anything else."""
    try:
        found = float(value)
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None


def read_date(value: str) -> datetime | None:
    """Read a date as HTTP or ISO 8601 writes it; None for anything else."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError):
            moment = parse(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def service_time(headers: Mapping[str, str]) -> datetime:
    """Return the time by the service's clock if the reply has a `Date`, else by ours."""
    return read_date(headers.get("date", "")) or datetime.now(UTC)
