"""Marks: which message a key belongs to, and for how long."""

from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Protocol


class Taken(Enum):
    """What `take` says."""

    OURS = "ours"
    """The key is this message's: it is new, or the message has come again before it was done."""
    DONE = "done"
    """This very message was done before; only its acknowledgement was lost."""
    DUPLICATE = "duplicate"
    """The key belongs to another message."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A message's claim to a key."""

    id: str
    """The key at its node, as 64 hexadecimal digits."""
    owner: str
    """The message, however often it is delivered, parked or paged; also 64 hexadecimal digits."""
    seconds: float
    """How long it lasts, from the latest `take` by its owner or from `confirm`."""

    @classmethod
    def of(cls, *, node: str, key: str, process: str, timestamp: int, seconds: float) -> "Mark":
        """Mark the message by its process id and the time when it was published.

        Parked messages and cursors keep both; one that was published again has another time.
        """
        return cls(_digest(node, key), _digest(process, str(timestamp)), seconds)


class Marks(Protocol):
    """Keeps marks. Methods raise `StoreError` when the database is away or refuses."""

    async def take(self, mark: Mark, *, takes_over: bool = False) -> Taken:
        """Claim the key, unless another message has it; or with `takes_over`, unless its message is done."""

    async def confirm(self, mark: Mark) -> None:
        """Note that the message is done, if the key is still its."""

    async def release(self, mark: Mark) -> None:
        """Give the key up, if it is still the message's."""

    async def close(self) -> None:
        """Close the connections."""


def _digest(*parts: str) -> str:
    return sha256("\x1f".join(parts).encode()).hexdigest()
