"""What a message's limits are: `limiter-key`, read and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import applications
from applications.limit import MOST, limit_name, of_service
from worker.protocol import headers as h
from worker.protocol.message import Visit


class LimitMalformed(ValueError):
    """A `limiter-key` is not what it should be; the text names the part that is wrong."""


@dataclass(frozen=True, slots=True)
class KeyedLimit:
    """At most `amount` calls in any `seconds` for the key `user|application`; without user, for all users."""

    key: str
    seconds: int
    amount: int

    @property
    def user(self) -> str:
        """Whose limit it is; empty for a limit that all users share."""
        return self.key.rpartition("|")[0]

    @property
    def application(self) -> str:
        """The application, `sdk:application` where the key says so."""
        return self.key.rpartition("|")[2]

    def __str__(self) -> str:
        """Return it as in a `limiter-key`."""
        return f"{self.key};{self.seconds};{self.amount}"


@lru_cache(maxsize=4096)
def parse_limits(key: str) -> tuple[KeyedLimit, ...]:
    """Read a `limiter-key`: `key;seconds;amount` groups joined by `;`; of two of a key and window the stricter counts.

    Raises `LimitMalformed` naming the part that is wrong.
    """
    parts = [part.strip() for part in key.strip().strip(";").split(";")] if key.strip(" ;") else []
    if len(parts) % 3:
        raise LimitMalformed(f"limiter-key {key!r}: groups of key;seconds;amount expected, {parts[-1]!r} is left over")
    limits = [_limit(*parts[start : start + 3]) for start in range(0, len(parts), 3)]
    strictest = {(limit.key, limit.seconds): limit for limit in sorted(limits, key=lambda limit: -limit.amount)}
    return tuple(limit for limit in dict.fromkeys(limits) if strictest[limit.key, limit.seconds] == limit)


def _limit(key: str, seconds: str, amount: str) -> KeyedLimit:
    if not key.rpartition("|")[1] or not key.rpartition("|")[2]:
        raise LimitMalformed(f"limiter-key: {key!r} must be user|application, or |application for all users")
    for name, value in (("seconds", seconds), ("amount", amount)):
        is_whole = value.isascii() and value.isdecimal() and len(value) <= len(str(MOST))
        if not is_whole or not 1 <= int(value) <= MOST:
            raise LimitMalformed(
                f"limiter-key: {name} of {key!r} must be a whole number from 1 to {MOST}, not {value!r}"
            )
    return KeyedLimit(key, int(seconds), int(amount))


def limits_of(
    visit: Visit, of_user: applications.Limit | None = None, of_all: applications.Limit | None = None
) -> Sequence[KeyedLimit]:
    """Return the limits that hold for this visit's call: those of its key, and its application's own.

    A key that has a limit of the same kind wins over the application's. Raises `LimitMalformed` for a malformed key.
    """
    node = visit.node
    if not node.is_limitable:
        return ()
    limits: tuple[KeyedLimit, ...] = ()
    if visit.headers.get(h.LIMITER_KEY):
        names = {node.application, of_service(node.application, visit.sdk)}
        limits = tuple(limit for limit in parse_limits(visit.headers.text(h.LIMITER_KEY)) if limit.application in names)
    user, application = visit.headers.text(h.USER), node.application
    if of_user is not None and user and not any(limit.user for limit in limits):
        limits += (KeyedLimit(limit_name(user, application, visit.sdk), of_user.seconds, of_user.amount),)
    if of_all is not None and all(limit.user for limit in limits):
        limits += (KeyedLimit(limit_name("", application, visit.sdk), of_all.seconds, of_all.amount),)
    return limits


def line_of(visit: Visit, limits: Sequence[KeyedLimit]) -> str:
    """Name the line in which the message waits: that of its user at the application, in all topologies."""
    own = next((limit.key for limit in limits if limit.user), None)
    return own or limit_name(visit.headers.text(h.USER), limits[0].application)
