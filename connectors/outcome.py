"""What comes of one message: the values between an action and the worker that executes them.

An action returns a `Message` (the same as `Forward(message)`), one of these values, or raises an error of
`connectors.errors`, which carries one.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors.delay import Delay
from connectors.message import Message

AnyMessage = Message[Any]


@dataclass(frozen=True, slots=True)
class Forward:
    """Publish the message to the node's followers."""

    message: AnyMessage
    to: tuple[str, ...] | None = None
    """Ids or names of the followers that get it; None means all of them."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Try the same message again later; until then it waits in the broker, not in memory."""

    after: Delay
    """A fixed time, or an `Exponential` one, which grows with the calls made so far."""
    reason: str = ""
    max_hops: int = 10
    """Calls of the action in total; one more and the message goes to the trash."""
    message: AnyMessage | None = None
    """Carries the headers to park with, where they differ from those of the message that was received."""


@dataclass(frozen=True, slots=True)
class Limited:
    """The service's limit is used up: hand the message back to the limiter."""

    reason: str = ""
    after: timedelta | None = None
    """The service's own word on when to come back, if it gave one."""
    message: AnyMessage | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End this branch of the run here; it counts as a success."""

    reason: str = ""
    message: AnyMessage | None = None


@dataclass(frozen=True, slots=True)
class Trash:
    """The message cannot go on: keep it in the trash with the reason, for a person to decide."""

    reason: str
    message: AnyMessage | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Items of a batch, each published to the followers, and where the next page starts.

    An item that is no `Message` becomes the JSON body of one. With `next_cursor` the batch is called again with
    that cursor once the items of this page are confirmed by the broker.
    """

    items: Sequence[Any]
    next_cursor: str | None = None
    to: tuple[str, ...] | None = None
    message: AnyMessage | None = None
    trail: str = ""
    """What a ready way of paging remembers of earlier pages; it travels with the cursor."""
    confirmed: Callable[[], Awaitable[None]] | None = None
    """Awaited once the broker has all items and the cursor: saves a state (`self.storage.state(...).saving(...)`)."""


Outcome = Forward | Repeat | Limited | Stop | Trash | Page
