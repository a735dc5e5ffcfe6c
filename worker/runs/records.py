"""What workers tell the database: a run has begun, a message has ended and was sent on."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker import headers as h
from worker.runs.run import MessageState
from worker.runs.steps import Sent, step_number
from worker.visit import Visit, now_ms

LONGEST_ID = 255


@dataclass(frozen=True, slots=True)
class Record:
    """One message at one node: it has arrived as the first of its run, or has ended."""

    run: str
    """The correlation id, as it is stored."""
    step: int
    """The message."""
    state: MessageState
    sent: Sequence[tuple[int, str]]
    """The messages that were sent on: step and node."""
    visit: Visit


def record(visit: Visit, state: MessageState, sent: Sequence[Sent] = ()) -> Record:
    """Return the record of a message, which has a step and a correlation id."""
    run, step = stored(visit.header(h.CORRELATION_ID)), step_number(visit.header(h.STEP))
    return Record(run, step, state, [(step_number(one.step), one.node) for one in sent], visit)


def run_facts(record: Record) -> tuple[str, str, str, str, int]:
    """Return what is noted of a run when its first record comes: the columns of `Statements.insert_runs`."""
    visit, node = record.visit, record.visit.node
    return record.run, node.topology_id, node.topology_name, stored(visit.header(h.USER)), _started(visit)


def stored(text: str) -> str:
    """Return a header's text as every database takes it: without NUL, of bounded length."""
    return text[:LONGEST_ID].replace("\x00", "\ufffd")


def _started(visit: Visit) -> int:
    now = now_ms()
    try:
        started = int(visit.header("process-started"))
    except ValueError:
        return min(visit.timestamp, now)
    return started if 0 < started <= now else now
