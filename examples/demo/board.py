"""What the worker has counted, as the demonstration looks at it."""

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from worker.protocol.topology import Node

KINDS = ("arrived", "done", "repeated", "limited", "trashed")
OUTCOMES = ("done", "repeated", "limited", "kept", "trashed")
SPEED_SECONDS = 3.0
"""Speeds are those of the last seconds."""


class Board:
    """The counts of all nodes, by their names, and how fast they grow."""

    def __init__(self, nodes: Sequence[Node], counts: Mapping[tuple[str, str], int]) -> None:
        """`counts` are the worker's, by node id and kind; the board watches them grow."""
        self._counts = counts
        self._ids = {node.name: node.id for node in nodes}
        self.begin()

    def begin(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()
        self._looks: deque[tuple[float, Counter[str]]] = deque([(0.0, Counter())])

    @property
    def names(self) -> Sequence[str]:
        """The names of the nodes."""
        return tuple(self._ids)

    @property
    def seconds(self) -> float:
        """The time from the beginning to the last look."""
        return self._looks[-1][0]

    def count(self, name: str, kind: str) -> int:
        """Return how often this has happened at the node."""
        return self._counts.get((self._ids[name], kind), 0)

    def total(self, kind: str) -> int:
        """Return how often this has happened at all nodes."""
        return sum(self.count(name, kind) for name in self.names)

    def unfinished(self, name: str) -> int:
        """Return how many messages have arrived at the node and have no outcome."""
        return self.count(name, "arrived") - sum(self.count(name, kind) for kind in OUTCOMES)

    def look(self) -> None:
        """Remember how things stand now; speeds are measured between looks."""
        now = time.monotonic() - self._started
        self._looks.append((now, Counter({name: self.count(name, "arrived") for name in self.names})))
        while self._looks[0][0] < now - SPEED_SECONDS:
            self._looks.popleft()

    def speed(self, name: str) -> float:
        """Return the messages per second that arrive at the node."""
        (earlier, before), (later, after) = self._looks[0], self._looks[-1]
        return (after[name] - before[name]) / (later - earlier) if later > earlier else 0.0

    def average_speed(self, name: str) -> float:
        """Return the messages per second that have arrived at the node since the beginning."""
        return self._looks[-1][1][name] / self.seconds if self.seconds else 0.0
