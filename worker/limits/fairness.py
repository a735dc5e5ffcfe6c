"""Whose turn it is at a limit of all users: each line that waits goes one step in turn.

This is start-time fair queueing (Goyal, Vin, Cheng 1996) with lines as flows: a line's position is the number of its
steps, counted on from where the others were when it came; the share's position is that of the latest call. `ask.lua`
does the same in Redis.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nsmallest

from worker.limits.limit import KeyedLimit

LAG = 10
"""A line that is further behind than so many steps is kept back by something else, such as a limit of its own: it has
no more than this credit, and the others do not wait for it."""

PASSES = 3
"""What lines with limits of their own can call depends on the time, which depends on what they call."""

FEW = 5
"""Of so few calls of a line it does not matter what its own limits say."""

SAMPLE = 64
"""Lines that are looked at to foresee how many calls go before, those furthest behind; more are taken to be like
these."""


@dataclass(slots=True)
class _Flow:
    position: int
    waiting: int = 0
    """Messages of the line."""
    until: float = 0
    """When it counts as gone, if nothing is heard of it."""
    own: Sequence[KeyedLimit] = ()
    """What the line is limited to by itself."""

    def calls(self, before: int, seconds: float) -> float:
        """Return how many calls the line makes before this position in this time."""
        calls = max(0, min(before - self.position, self.waiting))
        if calls <= FEW:
            return calls
        return min([calls, *(limit.amount * (1 + seconds / limit.seconds) for limit in self.own)])


@dataclass(slots=True)
class Share:
    """The lines that wait for one limit of all users."""

    position: int = 0
    flows: dict[str, _Flow] = field(default_factory=dict)

    def calls_before(self, line: str, before: int, rate: float) -> float:
        """Return how many calls go before the one that has this many of its own line before it, at this rate."""
        position, floor = self._position(line) + before, self.position - LAG
        others = [(flow.position, name) for name, flow in self.flows.items() if name != line and flow.position >= floor]
        looked_at = [self.flows[name] for _, name in nsmallest(SAMPLE, others)]
        calls = math.inf
        for _ in range(PASSES if others else 0):
            seconds = calls / rate
            calls = before + sum(flow.calls(position, seconds) for flow in looked_at) * len(others) / len(looked_at)
        return calls if others else before

    def join(self, line: str, waiting: int, until: float, own: Sequence[KeyedLimit] = ()) -> None:
        """Let so many messages of a line wait, which has these limits of its own."""
        flow = self.flows.setdefault(line, _Flow(self._position(line)))
        flow.waiting, flow.until, flow.own = waiting, max(flow.until, until), own

    def step(self, line: str, waiting: int) -> None:
        """Take note of a call of the line, of which so many messages wait now."""
        position = self._position(line)
        self.position = max(self.position, position)
        if waiting <= 0:
            self.flows.pop(line, None)
        elif line in self.flows:
            self.flows[line].position, self.flows[line].waiting = position + 1, waiting

    def tidy(self, now: float) -> Sequence[str]:
        """Forget lines of which nothing was heard, and return them."""
        overdue = [line for line, flow in self.flows.items() if flow.until < now]
        for line in overdue:
            del self.flows[line]
        return overdue

    def _position(self, line: str) -> int:
        flow = self.flows.get(line)
        return max(flow.position, self.position - LAG) if flow else self.position
