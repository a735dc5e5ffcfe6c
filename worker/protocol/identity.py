"""Who a message is: the same after a redelivery and a repeat, another at every node, item, page and round of a loop.

Process ids do not tell: with one follower a message keeps its process id, so in a loop it comes to the same node with
the same id again. A step is derived from the step before, and travels in the header `worker-step`, behind the step of
the first message that all comes from: `first.own`, or `first` alone for that message itself. Steps of first messages
are odd, all others even, so that the database knows them apart. What comes of a message that a person has approved says
`.own`: its beginning is in the database before it is sent on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final
from uuid import UUID, uuid5

_BYTES = 8
_SIGN = 1 << 63
_RANGE = 1 << 64
_EVEN = dict(zip("0123456789abcdef", "0022446688aaccee", strict=True))
_ODD = dict(zip("0123456789abcdef", "1133557799bbddff", strict=True))


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that was sent on: its step, and the node that it goes to."""

    step: str
    node: str


def first_step(node_id: str, process_id: str, cursor: str = "") -> str:
    """Return the step of a run's first message."""
    digest = _digest(f"{node_id}\x1f{process_id}\x1f{cursor}")
    return digest[:-1] + _ODD[digest[-1]]


def next_step(step: str, node_id: str, index: int | str) -> str:
    """Return the step of the copy or item with this index that goes to this node."""
    first, _, own = step.partition(".")
    digest = _digest(f"{own or first}\x1f{node_id}\x1f{index}")
    return f"{first}.{digest[:-1]}{_EVEN[digest[-1]]}"


def approved_step(step: str) -> str:
    """Return the step of a message that a person has sent on: the same one, without the first message of its run."""
    first, _, own = step.partition(".")
    return f".{own or first}"


def sent_steps(step: str, node_ids: Sequence[str], index: int | str = 0) -> list[SentMessage]:
    """Return the steps of the copies for these nodes; none when the run is not counted, so that there is no step."""
    return [SentMessage(next_step(step, own, index), own) for own in node_ids] if step else []


def step_numbers(step: str) -> tuple[int | None, int]:
    """Return the steps of the first message, None where it is not told, and of the message itself, as stored."""
    first, _, own = step.partition(".")
    return _number(first) if first else None, _number(own or first)


def numbered(sent: Iterable[SentMessage]) -> list[tuple[int, str]]:
    """Return step and node of these messages, as stored."""
    return [(step_numbers(message.step)[1], message.node) for message in sent]


def _number(step: str) -> int:
    """Return the database's 64-bit integer."""
    try:
        number = int(step, 16) % _RANGE
    except ValueError:
        number = int(_digest(step), 16)
    return number - _SIGN


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_BYTES).hexdigest()


_CHILDREN: Final = UUID("6a4f0c5e-3d1b-5c0e-9f6c-0b7f6f0f6f5d")


def child_id(parent: str, node: str, follower: str, cursor: str, index: int) -> str:
    """Return the process id of a copy.

    It is derived, so that a copy which is published again after a crash has the same id, while other followers,
    items and pages have others.
    """
    return str(uuid5(_CHILDREN, "\x1f".join((parent, node, follower, cursor, str(index)))))
