"""A run of a topology, and what is known of its messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class MessageState(IntEnum):
    """Where a message stands. A higher one wins: whatever comes twice and in whatever order, the end is the same."""

    OPEN = 0
    CANCELLED = 1
    FAILED = 2
    OK = 3


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    """Its messages end one by one."""
    FINISHED = "finished"
    FAILED = "failed"
    """Ended, with messages in the trash."""
    CANCELLED = "cancelled"


ENDED = frozenset({RunState.FINISHED, RunState.FAILED, RunState.CANCELLED})


@dataclass(slots=True)
class NodeCounts:
    """The messages of one node."""

    open: int = 0
    ok: int = 0
    failed: int = 0
    cancelled: int = 0

    def add(self, state: MessageState, count: int) -> None:
        """Count messages in this state."""
        name = state.name.lower()
        setattr(self, name, getattr(self, name) + count)


@dataclass(frozen=True, slots=True)
class Run:
    """One run."""

    correlation_id: str
    topology_id: str
    topology_name: str
    user: str
    state: RunState
    started: int
    """ms since the epoch."""
    ended: int | None
    """ms since the epoch; None while messages are open."""
    total: int
    ok: int
    failed: int
    cancelled: int
    nodes: Mapping[str, NodeCounts] = field(default_factory=dict)
    """By the node's name; only where one run is asked for."""

    @property
    def open(self) -> int:
        """Messages that have not ended."""
        return self.total - self.ok - self.failed - self.cancelled

    @property
    def is_ended(self) -> bool:
        """Whether no message is open."""
        return self.state in ENDED

    def milliseconds(self, now: int) -> int:
        """How long it took, or has taken so far."""
        return max((now if self.ended is None else self.ended) - self.started, 0)

    def document(self, now: int) -> dict[str, Any]:
        """Return the run in the platform's spelling, for `--json` and for whoever is told of its end."""
        facts: dict[str, Any] = {
            "correlationId": self.correlation_id,
            "topologyId": self.topology_id,
            "topologyName": self.topology_name,
            "user": self.user or None,
            "state": self.state.value,
            "started": self.started,
            "ended": self.ended,
            "durationMs": self.milliseconds(now),
            "total": self.total,
            "ok": self.ok,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "open": self.open,
        }
        if self.nodes:
            counts = ("open", "ok", "failed", "cancelled")
            facts["nodes"] = {name: {key: getattr(own, key) for key in counts} for name, own in self.nodes.items()}
        return facts


def ended_state(*, failed: int, cancelled: int) -> RunState:
    """Return how a run without open messages has ended."""
    if cancelled:
        return RunState.CANCELLED
    return RunState.FAILED if failed else RunState.FINISHED
