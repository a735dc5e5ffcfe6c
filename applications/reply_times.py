"""Times that a service names in the headers of a reply, relative to the reply."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT: Final = timedelta(days=1)
"""A service that names a later moment is asked again by then."""

_NUMBER: Final = re.compile(r"\d{1,300}(\.\d{1,300})?", re.ASCII)
_PART: Final = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(ms|s|m|h|d)[a-z]*", re.ASCII | re.IGNORECASE)
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_EPOCH_SECONDS: Final = 100_000_000
"""A number above this is a moment, below it a time to wait."""
_EPOCH_MILLISECONDS: Final = 100_000_000_000
_BETWEEN_VALUES: Final = re.compile(r",(?!\s*\d{1,2}[ -])\s*", re.ASCII)
"""A comma between two values, and not behind the day of the week."""


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Read `Retry-After` (RFC 9110, 10.2.3); the longest time where it was sent twice. None when there is none."""
    return max(waits(headers.get("retry-after", ""), headers), default=None)


def waits(value: str, headers: Mapping[str, str], *, unit: str = "") -> Iterator[timedelta]:
    """Yield the times that a header names: seconds, `6m0s`, a date, or seconds and milliseconds since the epoch.

    A header that was sent twice names several. A `unit` such as `ms` belongs to numbers without one.
    """
    for part in _BETWEEN_VALUES.split(value.strip()):
        seconds = _seconds(part.strip(), headers, unit)
        if seconds is not None:
            yield bounded(seconds)


def _seconds(text: str, headers: Mapping[str, str], unit: str) -> float | None:
    number = read_number(text)
    if number is not None:
        return _until(number * _UNITS[unit] if unit else number, headers)
    if (parts := _PART.findall(text)) and not _PART.sub("", text).strip():
        return sum(float(amount) * _UNITS[named.lower()] for amount, named in parts)
    moment = read_date(text)
    return (moment - service_time(headers)).total_seconds() if moment else None


def _until(seconds: float, headers: Mapping[str, str]) -> float:
    if seconds >= _EPOCH_MILLISECONDS:
        seconds /= 1000
    return seconds - service_time(headers).timestamp() if seconds >= _EPOCH_SECONDS else seconds


def bounded(seconds: float) -> timedelta:
    """Return the time to wait: not below zero, and not above `LONGEST_WAIT`."""
    return min(max(timedelta(seconds=min(seconds, LONGEST_WAIT.total_seconds())), timedelta(0)), LONGEST_WAIT)


def read_number(value: str) -> float | None:
    """Read a number that is not negative; None for anything else."""
    return float(value) if _NUMBER.fullmatch(value) else None


def read_date(value: str) -> datetime | None:
    """Read a date as HTTP or ISO 8601 writes it; None for anything else."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, OverflowError, TypeError):
            moment = parse(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def service_time(headers: Mapping[str, str]) -> datetime:
    """Return the time by the service's clock if the reply has a `Date`, else by ours."""
    return read_date(headers.get("date", "")) or datetime.now(UTC)
