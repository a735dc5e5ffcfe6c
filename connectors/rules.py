"""What a reply means for the message: rules by status and by content.

Rules stand at a call, at an action and at an application. What one level leaves open, the next decides; the last are
the platform's defaults: below 300 success; 408, 429 and from 500 repeat; everything else to the trash.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from typing import Final

from applications.http.errors import ReplyUnreadable
from applications.http.response import Response
from connectors.delay import Delay

Codes = str | int | Iterable[int]
"""Status codes: `404`, `{200, 404}`, or text such as `"2xx 404 500-502"`; a range includes both its ends."""

DEFAULT_REPEAT: Final = timedelta(seconds=60)
"""How long a message waits when nobody says, as in the platform's own SDK."""

DEFAULT_MAX_HOPS: Final = 10
"""Calls in total, as in the platform's own SDK."""


class Meaning(Enum):
    """What a reply means: a success, or the outcome of this name."""

    SUCCESS = "success"
    REPEAT = "repeat"
    LIMITED = "limited"
    STOP = "stop"
    TRASH = "trash"


@dataclass(frozen=True, slots=True)
class Check:
    """A look at a reply: when `applies`, it has this meaning. Made by `repeat_when` and the other three."""

    meaning: Meaning
    applies: Callable[[Response], object]
    reason: str | Callable[[Response], object]
    codes: frozenset[int] | None
    """Statuses at which to look; None: those that mean success."""

    def text(self, response: Response) -> str:
        """Return the reason."""
        return self.reason if isinstance(self.reason, str) else str(self.reason(response))


Reason = str | Callable[[Response], object]
"""Text, or what makes it of the reply."""


def repeat_when(applies: Callable[[Response], object], reason: Reason, *, codes: Codes | None = None) -> Check:
    """Try again later when `applies(reply)` is true.

    Asked for replies that mean success, or for these `codes`. Raises `ValueError` for codes that are none. What
    `applies` or a `reason` that is a function raises ends the action.
    """
    return _check(Meaning.REPEAT, applies, reason, codes)


def limited_when(applies: Callable[[Response], object], reason: Reason, *, codes: Codes | None = None) -> Check:
    """Back to the limiter when `applies(reply)` is true, which costs no hop; see `repeat_when`."""
    return _check(Meaning.LIMITED, applies, reason, codes)


def stop_when(applies: Callable[[Response], object], reason: Reason, *, codes: Codes | None = None) -> Check:
    """End the branch, as a success, when `applies(reply)` is true; see `repeat_when`."""
    return _check(Meaning.STOP, applies, reason, codes)


def trash_when(applies: Callable[[Response], object], reason: Reason, *, codes: Codes | None = None) -> Check:
    """To the trash when `applies(reply)` is true; see `repeat_when`."""
    return _check(Meaning.TRASH, applies, reason, codes)


def _check(meaning: Meaning, applies: Callable[[Response], object], reason: Reason, codes: Codes | None) -> Check:
    return Check(meaning, applies, reason, None if codes is None else parse_codes(codes))


class Rules:
    """Rules of one level. Whatever is not given is left to the next level.

    `success`, `repeat`, `limited`, `stop` and `trash` name status codes; `checks` look at the whole reply and win over
    them. `delay` is the time before a repeat, unless the service names one: fixed, or `Exponential`. `max_hops` are
    the calls in total.
    """

    __slots__ = ("checks", "delay", "max_hops", "meanings")

    def __init__(
        self,
        *,
        success: Codes = (),
        repeat: Codes = (),
        limited: Codes = (),
        stop: Codes = (),
        trash: Codes = (),
        checks: Iterable[Check] = (),
        delay: Delay | None = None,
        max_hops: int | None = None,
    ) -> None:
        """Raises `ValueError` for codes that are none, and for a code with two meanings."""
        given = {
            Meaning.SUCCESS: success,
            Meaning.REPEAT: repeat,
            Meaning.LIMITED: limited,
            Meaning.STOP: stop,
            Meaning.TRASH: trash,
        }
        self.meanings: Mapping[int, Meaning] = _meanings(given)
        self.checks = tuple(checks)
        self.delay = delay
        self.max_hops = max_hops

    def over(self, general: "Rules") -> "Rules":
        """Return these rules, filled up with those of the next level."""
        return _merged(self, general)

    def with_successes(self, codes: frozenset[int]) -> "Rules":
        """Return the rules with these statuses as successes too; only checks that name them look at such replies."""
        if not codes:
            return self
        usual = frozenset(code for code in range(100, 600) if self.by_status(code) is Meaning.SUCCESS)
        checks = [replace(check, codes=usual) if check.codes is None else check for check in self.checks]
        made = Rules(checks=checks, delay=self.delay, max_hops=self.max_hops)
        made.meanings = {**self.meanings, **dict.fromkeys(codes, Meaning.SUCCESS)}
        return made

    def judge(self, response: Response) -> tuple[Meaning, str]:
        """Return what the reply means, and the reason that a check gives.

        A refusal whose body a check cannot read means what its status says.
        """
        meaning = self.by_status(response.status)
        for check in self.checks:
            is_asked = meaning is Meaning.SUCCESS if check.codes is None else response.status in check.codes
            try:
                if is_asked and check.applies(response):
                    return check.meaning, check.text(response)
            except ReplyUnreadable:
                if meaning is Meaning.SUCCESS:
                    raise
        return meaning, ""

    def by_status(self, status: int) -> Meaning:
        """Return what a `status` means."""
        return self.meanings.get(status) or _default(status)

    def repeat_after(self, hop: int) -> timedelta:
        """Return the time before the next call, after `hop` calls."""
        delay = self.delay or DEFAULT_REPEAT
        return delay if isinstance(delay, timedelta) else delay.after(hop, random.uniform)


@lru_cache(maxsize=1024)
def _merged(own: Rules, general: Rules) -> Rules:
    merged = Rules(
        checks=own.checks + general.checks,
        delay=general.delay if own.delay is None else own.delay,
        max_hops=general.max_hops if own.max_hops is None else own.max_hops,
    )
    merged.meanings = {**general.meanings, **own.meanings}
    return merged


def _meanings(given: Mapping[Meaning, Codes]) -> dict[int, Meaning]:
    meanings: dict[int, Meaning] = {}
    for meaning, codes in given.items():
        for code in parse_codes(codes):
            if code in meanings:
                raise ValueError(f"status {code} cannot mean both {meanings[code].value} and {meaning.value}")
            meanings[code] = meaning
    return meanings


def _default(status: int) -> Meaning:
    if status < 300:  # noqa: PLR2004 - the platform's ranges
        return Meaning.SUCCESS
    return Meaning.REPEAT if status in {408, 429} or status >= 500 else Meaning.TRASH  # noqa: PLR2004


def parse_codes(codes: Codes) -> frozenset[int]:
    """Return the codes as numbers. Raises `ValueError` for what is no status code."""
    if isinstance(codes, int):
        codes = (codes,)
    numbers = [*_numbers(codes)] if isinstance(codes, str) else list(codes)
    wrong = [number for number in numbers if not 100 <= number <= 599]  # noqa: PLR2004 - RFC 9110, 15
    if wrong:
        raise ValueError(f"{wrong[0]} is not an HTTP status code")
    return frozenset(numbers)


def _numbers(text: str) -> Iterable[int]:
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        if part[1:] == "xx" and part[0].isdecimal():
            yield from range(int(part[0]) * 100, int(part[0]) * 100 + 100)
        elif first.isdecimal() and (last.isdecimal() if dash else True):
            yield from range(int(first), int(last or first) + 1)
        else:
            raise ValueError(f"{part!r} is not a status code: write 404, 500-502 or 5xx")
