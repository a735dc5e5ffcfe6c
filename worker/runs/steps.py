"""Who a message is: the same after a redelivery and a repeat, another at every node, item, page and round of a loop.

Process ids do not tell: with one follower a message keeps its process id, so in a loop it comes to the same node with
the same id again. A step is derived from the step before, and travels in the header `worker-step`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from worker import headers as h
from worker.visit import Visit

_BYTES = 8
_SIGN = 1 << 63
_RANGE = 1 << 64


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was sent on: its step, and the node that it goes to."""

    step: str
    node: str


def root_step(visit: Visit) -> str:
    """Return the step of a message that does not say: the first one of a run."""
    return first_step(visit.node.id, visit.header(h.PROCESS_ID), visit.header(h.CURSOR))


def first_step(node_id: str, process_id: str, cursor: str = "") -> str:
    """Return the step of a run's first message."""
    return _digest(f"{node_id}\x1f{process_id}\x1f{cursor}")


def next_step(step: str, node_id: str, index: int | str) -> str:
    """Return the step of the copy or item with this index that goes to this node."""
    return _digest(f"{step}\x1f{node_id}\x1f{index}")


def sent_steps(visit: Visit, node_ids: Sequence[str], index: int | str = 0) -> list[Sent]:
    """Return the steps of the copies for these nodes; none when the run is not counted."""
    step = visit.headers.get(h.STEP)
    return [] if step is None else [Sent(next_step(step, own, index), own) for own in node_ids]


def step_number(step: str) -> int:
    """Return the step as the database's 64-bit integer."""
    try:
        number = int(step, 16) % _RANGE
    except ValueError:
        number = int(_digest(step), 16)
    return number - _SIGN


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_BYTES).hexdigest()
