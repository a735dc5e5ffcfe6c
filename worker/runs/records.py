"""What workers tell the database: a run has begun, a message has ended and was sent on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.protocol import headers as h
from worker.protocol.identity import SentMessage, numbered, step_numbers
from worker.protocol.message import Visit, now_ms
from worker.runs.run import MessageState

LONGEST_ID = 255


@dataclass(frozen=True, slots=True)
class Record:
    """One message at one node: it has arrived as the first of its run or approved by a person, or it has ended."""

    run: str
    """The correlation id, as it is stored."""
    first: int | None
    """The step of the first message from which it comes; None where that need not be known."""
    step: int
    """The message."""
    state: MessageState
    sent: Sequence[tuple[int, str]]
    """The messages that were sent on: step and node."""
    visit: Visit
    is_again: bool = False
    """Whether a person has sent the message on: it is open again, though it had failed."""

    @property
    def is_first(self) -> bool:
        """Whether it is a first message itself."""
        return self.first == self.step

    def steps(self) -> Iterator[int]:
        """Yield the messages of which it tells."""
        if self.first is not None:
            yield self.first
        yield self.step
        for step, _ in self.sent:
            yield step


def record(visit: Visit, state: MessageState, sent: Sequence[SentMessage] = (), *, is_again: bool = False) -> Record:
    """Return the record of a message, which has a step and a correlation id."""
    run, own = visit.headers.text(h.CORRELATION_ID), visit.headers.text(h.STEP)
    first, step = step_numbers(own)
    following = numbered(sent)
    return Record(stored(run), first, step, state, following, visit, is_again)


def run_facts(record: Record) -> tuple[str, str, str, str, int]:
    """Return what is noted of a run when its first record comes: the columns of `Statements.insert_runs`."""
    visit, node = record.visit, record.visit.node
    return record.run, node.topology_id, node.topology_name, stored(visit.headers.text(h.USER)), _started(visit)


def stored(text: str) -> str:
    """Return a header's text as every database takes it: without NUL, of bounded length."""
    return text[:LONGEST_ID].replace("\x00", "\ufffd")


def _started(visit: Visit) -> int:
    now = now_ms()
    try:
        started = int(visit.headers.text(h.PROCESS_STARTED))
    except ValueError:
        return min(visit.timestamp, now)
    return started if 0 < started <= now else now
