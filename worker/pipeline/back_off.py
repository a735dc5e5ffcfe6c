"""The stage around an action that may not answer: it is called again, or its run is given up.

The platform's rule: after `WORKER_MAX_FAILURES` rounds in a row for a host and node, the run whose message failed is
trashed at once, while messages of other runs still probe. Any success clears it, and entries expire after ten
minutes. Several messages that fail at the same time are one round. Where a service has not answered, the reasons are
the platform's, word by word: people filter the trash by them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

from applications.pauses import back_off
from connectors import Trash
from worker.actions.local import Call
from worker.errors import ActionUnreachable
from worker.patience import Patience
from worker.pipeline.decisions import Decided, Unreachable, Way
from worker.protocol import headers as h
from worker.protocol.message import Visit, now_ms
from worker.protocol.topology import Node

log = structlog.get_logger()


EXPIRY_SECONDS = 600
UNAVAILABLE = "worker unavailable, correlationId poisoned"
MOST_GIVEN_UP = 10_000
"""Runs of a target that are remembered as given up; of older ones the next message is called for again."""


@dataclass(slots=True)
class Streak:
    """Failed rounds in a row of one host and node."""

    rounds: int = 0
    latest: float = 0
    given_up: dict[str, float] = field(default_factory=dict)
    """Runs that go to the trash without a call, and since when; the latest last."""

    def give_up(self, run: str, now: float) -> None:
        """Note a run, and forget one that is the oldest of too many."""
        self.given_up.pop(run, None)
        self.given_up[run] = now
        if len(self.given_up) > MOST_GIVEN_UP:
            del self.given_up[next(iter(self.given_up))]


class Failures:
    """The streaks of this process, by host and node."""

    def __init__(self, max_rounds: int, clock: Callable[[], float]) -> None:
        """After `max_rounds` a run is given up; 0: never."""
        self.max_rounds = max_rounds
        self._clock = clock
        self._streaks: dict[str, Streak] = {}

    def succeeded(self, target: str) -> None:
        """The target answered."""
        self._streaks.pop(target, None)

    def are_known(self, target: str) -> bool:
        """Whether the target has failed since it last answered."""
        return target in self._streaks

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
        if 0 < self.max_rounds <= streak.rounds:
            streak.give_up(run, now)
            return None
        return back_off(streak.rounds - 1)

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that `started` is read from."""
        return self._clock


class BackOff:
    """Calls the action of one node until it answers."""

    def __init__(self, node: Node, call: Call, failures: Failures, patience: Patience) -> None:
        self._target = f"{urlsplit(node.url).netloc} {node.id}"
        self._call = call
        self._failures = failures
        self._patience = patience
        self._given_up_before = "given up: the action of this run did not answer before"

    async def stage(self, visit: Visit, call_next: Way) -> Decided:
        """Take the message through the rest of its way again and again, until the action answers or the run is over."""
        while not self._is_given_up(visit):
            decided = await call_next(visit)
            failure = decided.decision
            if not isinstance(failure, Unreachable):
                return decided
            visit = decided.visit
            pause = self._failures.failed(self._target, _run(visit), failure.started)
            if pause is None:
                return Decided(visit, Trash(self._given_up(failure)))
            log.warning("action_unreachable", cause=failure.reason, retry_in_seconds=round(pause, 1))
            await self._patience.pause(pause)
            visit.delivery.began_again = now_ms()
        return Decided(visit, Trash(self._given_up_before))

    async def attempt(self, visit: Visit) -> Decided:
        """Call the action once; the end of the way in."""
        started = self._failures.clock()
        try:
            outcome = await self._call(visit)
        except ActionUnreachable as error:
            return Decided(visit, Unreachable(str(error), started, error.service))
        self._failures.succeeded(self._target)
        return Decided(visit, outcome)

    def _given_up(self, failure: Unreachable) -> str:
        """Return the reason for the trash."""
        if not failure.service:
            return f"given up after too many failures in a row: {failure.reason}"
        self._given_up_before = UNAVAILABLE
        log.warning("run_given_up", cause=failure.reason, rounds=self._failures.max_rounds)
        return f"{failure.service}, correlationId poisoned after {self._failures.max_rounds} failures"

    def _is_given_up(self, visit: Visit) -> bool:
        return self._failures.are_known(self._target) and self._failures.has_given_up(self._target, _run(visit))


def _run(visit: Visit) -> str:
    return visit.headers.text(h.CORRELATION_ID)
