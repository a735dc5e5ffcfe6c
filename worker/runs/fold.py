"""The arithmetic of counting, without a database: from records and what is known to what changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from worker.runs.records import Record
from worker.runs.run import MessageState, RunState, ended_state

UNKNOWN_NODE = ""
"""Where a first message is until its own record comes."""

Known = Mapping[tuple[int, int], int]
"""The states of the messages that the database knows, by number of the run and step."""


@dataclass(slots=True)
class RunTally:
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


def fold(tally: RunTally, records: Iterable[Record], known: Known, now: int) -> bool:
    """Count the records of one run. Return whether the run has ended by them.

    The same record counts once, however often and in whatever order records come. Never too early: say that no row is
    open, and that some record of what comes from a first message was counted. Whichever was the first of them has put
    down that message; it is not open, so it has ended, and its record has put down all that it sent; these are not
    open, so they have ended, and so on: nothing is on its way. What a person approves is put down before it is sent on.
    """
    before = tally.state, tally.ended, tally.is_compact
    for record in records:
        if tally.is_compact and not _is_news(tally, record, known):
            continue  # a duplicate from before the end, whose row may be gone
        if record.first is not None and not record.is_first:
            _count(tally, record.first, UNKNOWN_NODE, MessageState.OPEN, known)
        _count(tally, record.step, record.visit.node.id, record.state, known, is_again=record.is_again)
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


def _is_news(tally: RunTally, record: Record, known: Known) -> bool:
    """Whether it changes a run of which only the rows of first messages and of failed ones are left."""
    before = known.get((tally.number, record.step))
    if before is not None:
        return record.is_again or before < record.state
    return record.is_again or (record.first is not None and (tally.number, record.first) not in known)


def _count(tally: RunTally, step: int, node: str, state: MessageState, known: Known, *, is_again: bool = False) -> None:
    before = tally.changed[step][1] if step in tally.changed else known.get((tally.number, step))
    if before is not None and before >= state and not (is_again and before == MessageState.FAILED):
        return
    if before is not None:
        tally.counts[before] -= 1
    tally.counts[state] += 1
    tally.changed[step] = (node, state)
    tally.is_compact = False
