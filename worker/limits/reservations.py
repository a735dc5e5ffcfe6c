"""Reservations: when a call may go. The store behind them is in the process, or in Redis for many workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.limits.limit import KeyedLimit

AHEAD_SECONDS = 0.75
"""Turns are given out only this long before they come, so that nobody fills the future."""

LATEST_SECONDS = 0.1
"""A turn that is missed by more is not used: the machine is busy, and the call would come too close to later ones."""

SLACK_SECONDS = 0.25
"""How much later than its turn the service sees a call: the windows are longer by that until it is known better."""

EAGERNESS = 8
"""Room that nobody takes may be used by messages further back: by this many seconds for each second of idleness."""

PATIENCE_SECONDS = 10.0
"""A line whose messages are overdue by more counts no longer as waiting."""

IDLE_SECONDS = 0.5
"""Calls are remembered for so long after they count no more, to know since when there has been room."""

SLOWEST = 1 / 64
"""The smallest share of an amount that halving comes to."""

HALVING_SECONDS = 10
"""An amount is not halved again before: calls that were under way are refused together."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A call that asks for its turn."""

    limits: Sequence[KeyedLimit]
    line: str
    """In which it waits: the messages of one user at one application."""
    member: str
    """Names the reservation; unique."""
    place: int = 0
    """Its place in the line, as an earlier `Wait` said; 0: it has none yet."""
    is_renewal: bool = False
    """It had a turn and has missed it: that is given back, and it comes first."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The call may be made from `at` on, and at most `LATEST_SECONDS` later."""

    at: float
    """By the monotonic clock of this machine, seconds."""
    waiting: int
    """Messages of the line that still wait."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No turn yet: ask again with this place."""

    seconds: float
    """How long it will take, as far as can be foreseen."""
    place: int
    waiting: int


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit as the store knows it."""

    limit: KeyedLimit
    used: int
    """Calls of the window that ends now, and those with a turn."""
    waiting: int
    """Messages that wait for it."""
    next_seconds: float
    """When the next call may go; 0: now."""
    amount_now: int
    """The amount that is used; less than the limit's after the service refused calls."""


class Reservations(Protocol):
    """Keeps limits: never more calls than the amount in any window, for all limits of a call together."""

    async def ask(self, request: TurnRequest) -> Turn | Wait:
        """Reserve a turn, or say how long it will take. Raises `LimitsAway`."""

    async def seen(self, request: TurnRequest, at: float) -> None:
        """Take note that the service has seen the call before `at`, by our monotonic clock.

        Its room is free again the sooner. Without that, also when the store is away, the call counts as if it had
        arrived as late as it may.
        """

    async def give_back(self, request: TurnRequest) -> None:
        """Free a turn that was not used. Raises `LimitsAway`."""

    async def leave(self, line: str) -> None:
        """Take a message out of its line that will not ask again. Raises `LimitsAway`."""

    async def learn(self, limits: Sequence[KeyedLimit], *, seconds: float, slow_down: bool) -> None:
        """Let no call go for this long; with `slow_down` halve the amount, to recover slowly. Raises `LimitsAway`."""

    async def states(self, key: str | None = None) -> Sequence[LimitState]:
        """Return the limits that were used lately, all or those of a key. Raises `LimitsAway`."""

    async def reset(self, key: str) -> int:
        """Forget calls, places and what was learned of a key; return how many limits had it. Raises `LimitsAway`.

        It also opens a key that is closed because the store has lost its data.
        """

    async def close(self) -> None:
        """Close the connections."""
