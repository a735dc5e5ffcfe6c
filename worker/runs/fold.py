"""The arithmetic of counting, without a database: from records and what is known to what changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from worker.runs.records import Record
from worker.runs.run import MessageState, RunState, ended_state

Known = Mapping[tuple[int, int], int]
"""The states of the messages that the database knows, by number of the run and step."""


@dataclass(slots=True)
class Tally:
    """A run's totals, as they are in the database and then as they become."""

    number: int
    counts: list[int]
    """By `MessageState`."""
    is_cancelled: bool
    is_compact: bool
    """Whether the rows of the messages that went well are gone."""
    state: str
    ended: int | None
    changed: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Rows to write: node and state, by step."""
    is_turned: bool = False
    """Whether more has changed than the counts."""

    @property
    def open(self) -> int:
        """Messages that have not ended."""
        return self.counts[MessageState.OPEN]

    @property
    def total(self) -> int:
        """All messages."""
        return sum(self.counts)


def fold(tally: Tally, records: Iterable[Record], known: Known, now: int) -> bool:
    """Count the records of one run. Return whether the run has ended by them.

    The same record counts once, however often and in whatever order records come.
    """
    before = tally.state, tally.ended, tally.is_compact
    for record in records:
        if tally.is_compact and (tally.number, record.step) not in known and not _is_beginning(record):
            continue  # a duplicate from before the end, whose row is gone
        _count(tally, record.step, record.visit.node.id, record.state, known)
        for step, node in record.sent:
            _count(tally, step, node, MessageState.OPEN, known)
    if not tally.changed:
        return False
    if tally.open:
        tally.state, tally.ended = RunState.CANCELLING if tally.is_cancelled else RunState.RUNNING, None
    else:
        failed, cancelled = tally.counts[MessageState.FAILED], tally.counts[MessageState.CANCELLED]
        tally.state, tally.ended = ended_state(failed=failed, cancelled=cancelled), now
    tally.is_turned = (tally.state, tally.ended, tally.is_compact) != before
    return not tally.open


def _is_beginning(record: Record) -> bool:
    return record.state is MessageState.OPEN


def _count(tally: Tally, step: int, node: str, state: MessageState, known: Known) -> None:
    before = tally.changed[step][1] if step in tally.changed else known.get((tally.number, step))
    if before is not None and before >= state:
        return
    if before is not None:
        tally.counts[before] -= 1
    tally.counts[state] += 1
    tally.changed[step] = (node, state)
    tally.is_compact = False
