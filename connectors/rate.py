"""What a service says about its rate limit, as one small value for the limiter.

The headers have no common form; these are read: `Retry-After` (RFC 9110), `RateLimit` and `RateLimit-*` (the IETF
drafts), `X-RateLimit-*`, `X-Rate-Limit-*`, `used/limit` as Shopify and Shoptet write it, and those of BigCommerce,
Brevo, HubSpot, Meta, OpenAI and Xero.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import http_sf

from applications.reply_times import bounded, read_number, retry_after, waits

_WINDOWS: Final = (
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset-after"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
    ("x-rate-limit-requests-left", "x-rate-limit-time-reset-ms"),  # BigCommerce
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),  # OpenAI
    ("x-sib-ratelimit-remaining", "x-sib-ratelimit-reset"),  # Brevo
    ("x-hubspot-ratelimit-remaining", ""),
    ("x-minlimit-remaining", ""),  # Xero
)
"""Headers that speak of one window: what is left in it, and when it is renewed."""
_USED_OF_LIMIT: Final = ("x-shopify-shop-api-call-limit", "x-ratelimit-bucket-filling")
_META: Final = "x-business-use-case-usage"
_META_MINUTES: Final = re.compile(r'"estimated_time_to_regain_access":\s*(\d{1,9})')
_DRAFT_7: Final = re.compile(r",\s*(?=limit\s*=)")
"""Before each of several limits that are written as in draft 07."""


class _Window(NamedTuple):
    remaining: int | None
    reset: float | None


@dataclass(frozen=True, slots=True)
class RateNotice:
    """What one reply says about the limit of one user at one application.

    All times are relative to the reply, so that no clock but the service's own is trusted.
    """

    application: str
    """The application's key; with `user`, the key of the limit."""
    user: str
    resume_after_seconds: float | None = None
    """No call before this time has passed; None: calls may go on."""
    remaining: int | None = None
    """Calls that are left in the service's window, if it says so."""
    reset: float | None = None
    """Seconds until the window is renewed, if the service says so."""
    is_refusal: bool = False
    """The call was refused (429): the limit is lower than was thought."""


def read_notice(application: str, user: str, status: int, headers: Mapping[str, str]) -> RateNotice | None:
    """Return what the reply says about the limit; None when it says nothing."""
    windows = [*_named(headers), *_used(headers), *_structured(headers)]
    remaining, reset = _tightest([own for own in windows if own != _Window(None, None)])
    pause = retry_after(headers)
    if pause is None and (pause := _shut_out(headers)) is not None:
        remaining = 0
    is_refusal = status == HTTPStatus.TOO_MANY_REQUESTS
    if pause is None and reset is not None and (remaining == 0 or is_refusal):
        pause = timedelta(seconds=reset)
    if pause is None and remaining is None and reset is None and not is_refusal:
        return None
    seconds = pause.total_seconds() if pause is not None else None
    return RateNotice(application, user, seconds, remaining, reset, is_refusal)


def _tightest(windows: Sequence[_Window]) -> _Window:
    """Return the window with the least left; where several are used up, the one that lasts longest.

    Figures of two windows are not mixed. Only where no window has both figures do they belong together.
    """
    most = float("inf")
    found = min(
        windows, key=lambda own: (most if own.remaining is None else own.remaining, -(own.reset or 0)), default=None
    )
    if found is None:
        return _Window(None, None)
    lone = [own.reset for own in windows if own.remaining is None and own.reset is not None]
    is_half = found.reset is None and not any(None not in own for own in windows)
    return _Window(found.remaining, max(lone)) if lone and is_half else found


def _named(headers: Mapping[str, str]) -> Iterator[_Window]:
    """Read the headers that have names for it; one that was sent twice speaks of two windows."""
    for left, until in _WINDOWS:
        remaining = [int(number) for part in headers.get(left, "").split(",") if (number := _number(part)) is not None]
        unit = "ms" if until.endswith("-ms") else ""
        resets = [wait.total_seconds() for wait in waits(headers.get(until, ""), headers, unit=unit)] if until else []
        if len(remaining) == len(resets):
            yield from map(_Window, remaining, resets)
        elif remaining or resets:
            yield _Window(min(remaining, default=None), max(resets, default=None))


def _number(part: str) -> float | None:
    return read_number(part.partition(";")[0].strip())


def _used(headers: Mapping[str, str]) -> Iterator[_Window]:
    for name in _USED_OF_LIMIT:
        for part in headers.get(name, "").split(","):
            used, _, limit = (read_number(figure.strip()) for figure in part.partition("/"))
            if used is not None and limit is not None:
                yield _Window(max(int(limit) - int(used), 0), None)


def _shut_out(headers: Mapping[str, str]) -> timedelta | None:
    """Return for how long Meta refuses calls, which it says among the numbers of what was used."""
    minutes = max(map(int, _META_MINUTES.findall(headers.get(_META, ""))), default=0)
    return bounded(minutes * 60) if minutes else None


def _structured(headers: Mapping[str, str]) -> Iterator[_Window]:
    """Read `"burst";r=50;t=1, "daily";r=0;t=36000`, or `limit=100, remaining=0, reset=30` as in draft 07."""
    value = headers.get("ratelimit", "")
    found = _parsed(value, "list")
    if found is not None:
        yield from (_window(parameters.get("r"), parameters.get("t")) for _, parameters in found)
        return
    for part in _DRAFT_7.split(value):
        members = _parsed(part, "dictionary")
        if members:
            yield _window(members.get("remaining", (None,))[0], members.get("reset", (None,))[0])


def _parsed(value: str, kind: str) -> Any:
    try:
        return http_sf.parse(value.encode("latin-1", "replace"), tltype=kind) if value else None
    except ValueError:
        return None


def _window(remaining: object, reset: object) -> _Window:
    until = _whole(reset)
    return _Window(_whole(remaining), None if until is None else bounded(until).total_seconds())


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
