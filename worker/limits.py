"""The limit gate: may this call be made now?

A message of a connector or batch whose application appears in its `limiter-key` must not reach the service before
the limiter lets it.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from connectors import Trash
from worker import headers as h
from worker.topology import Role
from worker.visit import Visit

LIMITED_ROLES = frozenset({Role.CONNECTOR, Role.BATCH})

WAIT_IN_PLACE_SECONDS = 1.0
"""A turn sooner than this is waited for; a later one in the broker."""

LATENESS_SECONDS = 2.0
"""How late a parked message may come back; kept free so that calls never bunch up."""


@dataclass(frozen=True, slots=True)
class Go:
    """The call may be made, after this time."""

    wait_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Held:
    """The message waits outside the worker until its turn."""

    application: str
    after_seconds: float = 0
    """When to come back; the platform's limiter decides that itself."""


class Gate(Protocol):
    """Decides about the call of one message."""

    def admit(self, visit: Visit) -> Go | Held | Trash:
        """Say whether and when the call may be made."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` calls in any `seconds` for the key `user|application`; without user, for all users."""

    key: str
    seconds: int
    amount: int

    def concerns(self, application: str, sdk: str) -> bool:
        """Whether the limit is one of this application's."""
        return self.key.rpartition("|")[2] in {application, f"{sdk}:{application}"}


def parse_limits(key: str) -> list[Limit]:
    """Read a `limiter-key`: `key;seconds;amount` groups joined by `;`. Raises `ValueError` naming the part."""
    parts = [part.strip() for part in key.strip().strip(";").split(";")] if key.strip(" ;") else []
    if len(parts) % 3:
        raise ValueError(f"limiter-key {key!r}: groups of key;seconds;amount expected, {parts[-1]!r} is left over")
    return [_limit(*parts[start : start + 3]) for start in range(0, len(parts), 3)]


def _limit(key: str, seconds: str, amount: str) -> Limit:
    for name, value in (("seconds", seconds), ("amount", amount)):
        if not value.isdecimal() or int(value) < 1:
            raise ValueError(f"limiter-key: {name} of {key!r} must be a whole number above 0, not {value!r}")
    return Limit(key, int(seconds), int(amount))


def limits_of(visit: Visit) -> list[Limit]:
    """Return the limits that hold for this visit's call. Raises `ValueError` for a malformed key."""
    node = visit.node
    if not node.application or node.role not in LIMITED_ROLES or not visit.headers.get(h.LIMITER_KEY):
        return []
    sdk = node.headers.get("sdk", "")
    return [limit for limit in parse_limits(visit.header(h.LIMITER_KEY)) if limit.concerns(node.application, sdk)]


class PlatformGate:
    """Sends limited messages to the platform's limiter, which gives them back when it is their turn."""

    def admit(self, visit: Visit) -> Go | Held | Trash:
        """Hold what is limited and has not passed the limiter yet."""
        try:
            limits = limits_of(visit)
        except ValueError as error:
            return Trash(str(error))
        if not limits or visit.header(h.LIMIT_PASSED):
            return Go()
        return Held(visit.node.application)


class LocalGate:
    """Keeps the limits of one process: each call reserves the next free time of all its limits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._turns: defaultdict[Limit, deque[float]] = defaultdict(deque)

    def admit(self, visit: Visit) -> Go | Held | Trash:
        """Give the message its turn; one that comes back from waiting has it already."""
        try:
            limits = limits_of(visit)
        except ValueError as error:
            return Trash(str(error))
        if not limits or visit.header(h.LIMIT_PASSED):
            return Go()
        wait = self._reserve(limits)
        return Go(wait) if wait <= WAIT_IN_PLACE_SECONDS else Held(visit.node.application, wait)

    def _reserve(self, limits: list[Limit]) -> float:
        now = self._clock()
        turn = max((now, *self._next_turns(limits)))
        for limit in limits:
            turns = self._turns[limit]
            turns.append(turn)
            if len(turns) > limit.amount:
                turns.popleft()
        return turn - now

    def _next_turns(self, limits: list[Limit]) -> Iterator[float]:
        for limit in limits:
            turns = self._turns[limit]
            if len(turns) == limit.amount:
                yield turns[0] + limit.seconds + LATENESS_SECONDS
