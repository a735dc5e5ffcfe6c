"""What a reply means for the message: rules by status and by content.

Rules stand at a call, at an action and at an application. What one level leaves open, the next decides; the last are
the platform's defaults: below 300 success; 408, 429 and from 500 repeat; everything else to the trash.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from typing import Final

from applications.http.response import Response
from connectors.delay import Delay

Codes = str | int | Iterable[int]
"""Status codes: `404`, `{200, 404}`, or text such as `"2xx 404 500-502"`; a range includes both its ends."""

DEFAULT_REPEAT: Final = timedelta(seconds=60)
"""How long a message waits when nobody says, as in the platform's own SDK."""

DEFAULT_MAX_HOPS: Final = 10
"""Calls in total, as in the platform's own SDK."""


class Verdict(Enum):
    """What shall happen."""

    SUCCESS = "success"
    FAIL = "fail"
    REPEAT = "repeat"
    LIMIT = "limit"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Check:
    """A look at a reply: when `applies`, it means `verdict`. Made by `fail_when` and its sisters."""

    verdict: Verdict
    applies: Callable[[Response], object]
    reason: str | Callable[[Response], object]
    codes: frozenset[int] | None
    """Statuses at which to look; None: those that mean success."""

    def text(self, response: Response) -> str:
        """Return the reason."""
        return self.reason if isinstance(self.reason, str) else str(self.reason(response))


Reason = str | Callable[[Response], object]
"""Text, or what makes it of the reply."""


def fail_when(applies: Callable[[Response], object], reason: Reason, *, codes: Codes | None = None) -> Check:
    """To the trash when `applies(reply)` is true; asked for replies that mean success, or for these `codes`."""
    return _check(Verdict.FAIL, applies, reason, codes)


def repeat_when(applies: Callable[[Response], object], reason: Reason, *, codes: Codes | None = None) -> Check:
    """Try again later when `applies(reply)` is true."""
    return _check(Verdict.REPEAT, applies, reason, codes)


def limit_when(applies: Callable[[Response], object], reason: Reason, *, codes: Codes | None = None) -> Check:
    """Back to the limiter when `applies(reply)` is true; that costs no hop."""
    return _check(Verdict.LIMIT, applies, reason, codes)


def stop_when(applies: Callable[[Response], object], reason: Reason, *, codes: Codes | None = None) -> Check:
    """End the branch, as a success, when `applies(reply)` is true."""
    return _check(Verdict.STOP, applies, reason, codes)


def _check(verdict: Verdict, applies: Callable[[Response], object], reason: Reason, codes: Codes | None) -> Check:
    return Check(verdict, applies, reason, None if codes is None else parse_codes(codes))


class Rules:
    """Rules of one level. Whatever is not given is left to the next level.

    `success`, `fail`, `repeat`, `limit` and `stop` name status codes; `checks` look at the whole reply and win over
    them. `delay` is the time before a repeat, unless the service names one: fixed, or `Exponential`. `max_hops` are
    the calls in total.
    """

    __slots__ = ("checks", "delay", "max_hops", "verdicts")

    def __init__(
        self,
        *,
        success: Codes = (),
        fail: Codes = (),
        repeat: Codes = (),
        limit: Codes = (),
        stop: Codes = (),
        checks: Iterable[Check] = (),
        delay: Delay | None = None,
        max_hops: int | None = None,
    ) -> None:
        """Raises `ValueError` for codes that are none, and for a code with two meanings."""
        given = {
            Verdict.SUCCESS: success,
            Verdict.FAIL: fail,
            Verdict.REPEAT: repeat,
            Verdict.LIMIT: limit,
            Verdict.STOP: stop,
        }
        self.verdicts: Mapping[int, Verdict] = _verdicts(given)
        self.checks = tuple(checks)
        self.delay = delay
        self.max_hops = max_hops

    def over(self, general: "Rules") -> "Rules":
        """Return these rules, filled up with those of the next level."""
        return _merged(self, general)

    def judge(self, response: Response) -> tuple[Verdict, str]:
        """Return what the reply means, and the reason that a check gives."""
        verdict = self.by_status(response.status)
        for check in self.checks:
            is_asked = verdict is Verdict.SUCCESS if check.codes is None else response.status in check.codes
            if is_asked and check.applies(response):
                return check.verdict, check.text(response)
        return verdict, ""

    def by_status(self, status: int) -> Verdict:
        """Return what a status means."""
        return self.verdicts.get(status) or _default(status)

    def repeat_after(self, hop: int) -> timedelta:
        """Return the time before the next call, after this many calls."""
        delay = self.delay or DEFAULT_REPEAT
        return delay if isinstance(delay, timedelta) else delay.after(hop, random.uniform)


@lru_cache(maxsize=1024)
def _merged(own: Rules, general: Rules) -> Rules:
    merged = Rules(
        checks=own.checks + general.checks,
        delay=general.delay if own.delay is None else own.delay,
        max_hops=general.max_hops if own.max_hops is None else own.max_hops,
    )
    merged.verdicts = {**general.verdicts, **own.verdicts}
    return merged


def _verdicts(given: Mapping[Verdict, Codes]) -> dict[int, Verdict]:
    verdicts: dict[int, Verdict] = {}
    for verdict, codes in given.items():
        for code in parse_codes(codes):
            if code in verdicts:
                raise ValueError(f"status {code} cannot mean both {verdicts[code].value} and {verdict.value}")
            verdicts[code] = verdict
    return verdicts


def _default(status: int) -> Verdict:
    if status < 300:  # noqa: PLR2004 - the platform's ranges
        return Verdict.SUCCESS
    return Verdict.REPEAT if status in {408, 429} or status >= 500 else Verdict.FAIL  # noqa: PLR2004


def parse_codes(codes: Codes) -> frozenset[int]:
    """Return the codes as numbers. Raises `ValueError` for what is no status code."""
    if isinstance(codes, int):
        codes = (codes,)
    numbers = [*_numbers(codes)] if isinstance(codes, str) else list(codes)
    wrong = [number for number in numbers if not 100 <= number <= 599]  # noqa: PLR2004 - RFC 9110, 15
    if wrong:
        raise ValueError(f"{wrong[0]} is no HTTP status code")
    return frozenset(numbers)


def _numbers(text: str) -> Iterable[int]:
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        if part[1:] == "xx" and part[0].isdecimal():
            yield from range(int(part[0]) * 100, int(part[0]) * 100 + 100)
        elif first.isdecimal() and (last.isdecimal() if dash else True):
            yield from range(int(first), int(last or first) + 1)
        else:
            raise ValueError(f"{part!r} is no status code: write 404, 500-502 or 5xx")
