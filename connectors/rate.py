"""What a service says about its rate limit, as one small value for the limiter.

The headers have no common form; these are read: `Retry-After` (RFC 9110), `RateLimit` and `RateLimit-*` (the IETF
drafts), `X-RateLimit-*`, `X-Rate-Limit-*`, `used/limit` as Shopify and Shoptet write it, and those of BigCommerce,
Brevo, HubSpot, Meta, OpenAI and Xero.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import http_sf

from applications.reply_times import bounded, read_date, read_number, retry_after, service_time

_REMAINING: Final = (
    "x-ratelimit-remaining",
    "ratelimit-remaining",
    "x-rate-limit-remaining",
    "x-hubspot-ratelimit-remaining",
    "x-rate-limit-requests-left",  # BigCommerce
    "x-ratelimit-remaining-requests",  # OpenAI
    "x-sib-ratelimit-remaining",  # Brevo
    "x-minlimit-remaining",  # Xero
)
_RESET: Final = (
    "x-ratelimit-reset-after",
    "x-ratelimit-reset",
    "ratelimit-reset",
    "x-rate-limit-reset",
    "x-rate-limit-time-reset-ms",
    "x-ratelimit-reset-requests",
    "x-sib-ratelimit-reset",
)
_USED_OF_LIMIT: Final = ("x-shopify-shop-api-call-limit", "x-ratelimit-bucket-filling")
_META: Final = "x-business-use-case-usage"
_META_MINUTES: Final = re.compile(r'"estimated_time_to_regain_access":\s*(\d+)')
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)[a-z]*")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_EPOCH_SECONDS: Final = 100_000_000
"""A reset above this is a moment, below it a time to wait."""
_EPOCH_MILLISECONDS: Final = 100_000_000_000


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
    remaining, reset = _remaining(headers), _reset(headers)
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


def _remaining(headers: Mapping[str, str]) -> int | None:
    for name in _REMAINING:
        if (number := read_number(headers.get(name, ""))) is not None:
            return int(number)
    for name in _USED_OF_LIMIT:
        used, _, limit = headers.get(name, "").partition("/")
        if used.strip().isdecimal() and limit.strip().isdecimal():
            return max(int(limit) - int(used), 0)
    return _structured(headers)[0]


def _reset(headers: Mapping[str, str]) -> float | None:
    for name in _RESET:
        value = headers.get(name, "").strip()
        seconds = _duration(f"{value}ms" if name.endswith("-ms") else value)
        if seconds is not None:
            return bounded(_until(seconds, headers)).total_seconds()
        if value and (moment := read_date(value)):
            return bounded((moment - service_time(headers)).total_seconds()).total_seconds()
    seconds = _structured(headers)[1]
    return None if seconds is None else bounded(seconds).total_seconds()


def _duration(value: str) -> float | None:
    """Read `540`, `540 seconds`, `6m0s` or `250ms`."""
    number = read_number(value)
    if number is None and (parts := _PART.findall(value)) and not _PART.sub("", value).strip():
        return sum(float(amount) * _UNITS[unit] for amount, unit in parts)
    return number


def _shut_out(headers: Mapping[str, str]) -> timedelta | None:
    """Return for how long Meta refuses calls, which it says among the numbers of what was used."""
    minutes = max(map(int, _META_MINUTES.findall(headers.get(_META, ""))), default=0)
    return bounded(minutes * 60) if minutes else None


def _until(seconds: float, headers: Mapping[str, str]) -> float:
    if seconds >= _EPOCH_MILLISECONDS:
        seconds /= 1000
    return seconds - service_time(headers).timestamp() if seconds >= _EPOCH_SECONDS else seconds


def _structured(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return what is left and the seconds to the reset of the tightest limit that `RateLimit` names.

    Where several are used up, that is the one which lasts longest.
    """
    limits = _limits(headers.get("ratelimit", "").encode("latin-1", "replace"))
    most = float("inf")
    return min(limits, key=lambda own: (most if own[0] is None else own[0], -(own[1] or 0)), default=(None, None))


def _limits(value: bytes) -> Iterator[tuple[int | None, int | None]]:
    """Read `"burst";r=50;t=1, "daily";r=0;t=36000`, or `limit=100, remaining=0, reset=30` as in draft 07."""
    for kind in ("list", "dictionary"):
        try:
            found: Any = http_sf.parse(value, tltype=kind)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield _whole(found.get("remaining", (None,))[0]), _whole(found.get("reset", (None,))[0])
        else:
            yield from ((_whole(parameters.get("r")), _whole(parameters.get("t"))) for _, parameters in found)
        return


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
