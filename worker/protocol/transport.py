"""What comes from the broker and what goes to it, without the broker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

STEP_SECONDS = 0.125
"""Messages wait for a multiple of this."""


@dataclass(slots=True, eq=False)
class Delivery:
    """One message from a queue."""

    raw: bytes
    timestamp: int | None
    """`published-timestamp`, ms; None when the publisher set none."""
    deliveries: int = 1
    """How often it has been delivered, this time included."""
    tag: int = 0
    routing_key: str = ""
    is_from_queue: bool = True
    """False where the platform calls with the message: it waits nowhere, and cannot be held."""
    is_uncounted: bool = False
    """Whether it has been delivered before, nobody knows how often: classic queues do not count."""
    is_settling: bool = False
    """Whether the action is done and its outcome is being carried out."""
    began_again: int | None = None
    """When its latest attempt began, ms, after it waited here for a service or for its repeat; None: at the first."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One message to publish. `timestamp` is `published-timestamp` in ms; None means the time of publishing."""

    exchange: str
    routing_key: str
    body: bytes
    timestamp: int | None = None
    mandatory: bool = True


class Outlet(Protocol):
    """Takes messages: the broker's `Publisher`, or the memory of `worker.testing`."""

    async def publish(self, publications: Sequence[Publication], *, is_patient: bool = True) -> None:
        """Return when all are safe. Raises `PublishRefused` when it is not to be patient about a refusal."""
