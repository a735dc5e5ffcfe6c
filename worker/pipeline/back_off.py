"""Actions that do not answer: how long to wait, and when to give a run up.

The platform's rule: after `WORKER_MAX_FAILURES` rounds in a row for a host and node, the run whose message failed is
trashed at once, while messages of other runs still probe. Any success clears it, and entries expire after ten
minutes. Several messages that fail at the same time are one round.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from worker.patience import back_off

EXPIRY_SECONDS = 600
LONGEST_PAUSE_SECONDS = 30


@dataclass(slots=True)
class Streak:
    """Failed rounds in a row of one host and node."""

    rounds: int = 0
    latest: float = 0
    given_up: dict[str, float] = field(default_factory=dict)
    """Runs that go to the trash without a call, and since when."""


class Failures:
    """The streaks of this process, by host and node."""

    def __init__(self, max_rounds: int, clock: Callable[[], float]) -> None:
        self._max_rounds = max_rounds
        self._clock = clock
        self._streaks: dict[str, Streak] = {}

    def succeeded(self, target: str) -> None:
        """The target answered."""
        self._streaks.pop(target, None)

    def has_given_up(self, target: str, run: str) -> bool:
        """Whether this run's messages go to the trash without another call."""
        streak = self._streaks.get(target)
        since = streak.given_up.get(run) if streak else None
        return since is not None and self._clock() - since < EXPIRY_SECONDS

    def failed(self, target: str, run: str, started: float) -> float | None:
        """Note a failed call that began at `started`. Return the seconds to wait, or None to give the run up."""
        now = self._clock()
        streak = self._streaks.setdefault(target, Streak())
        if now - streak.latest > EXPIRY_SECONDS:
            streak.rounds = 0
            streak.given_up.clear()
        if started >= streak.latest:
            streak.rounds += 1
            streak.latest = now
        if streak.rounds >= self._max_rounds:
            streak.given_up[run] = now
            return None
        return back_off(streak.rounds - 1, longest=LONGEST_PAUSE_SECONDS)

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that `started` is read from."""
        return self._clock
