"""What becomes of one message: the values between an action and the worker that carries them out.

    Forward    to the followers; a `Message` on its own means the same
    Page       the items of a batch to the followers, then the next page
    Verdict    an exception, so an action may return it or raise it, which means the same
    ├── Repeat     the same message again, later
    ├── Limited    the service's limit is used up: back to the limiter
    ├── Stop       the branch ends here, as a success
    └── Trash      to the trash, with the reason

`connectors.errors` derives from the last four what calls raise.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass
from datetime import timedelta
from typing import Any

from connectors.delay import Delay
from connectors.message import Message

AnyMessage = Message[Any]


@dataclass(frozen=True, slots=True)
class Forward:
    """Publish the message to the node's followers. Return it; it cannot be raised."""

    message: AnyMessage
    to: tuple[str, ...] | None = None
    """Ids or names of the followers that get it; None means all of them. An unknown one sends it to the trash."""
    reason: str = ""
    """What has been done, for the audit and for whoever calls the action over HTTP; it does not travel on."""


@dataclass(frozen=True, slots=True)
class Page:
    """Items of a batch, each published to the followers, and where the next page starts. Return it.

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
    reason: str = ""
    """As that of `Forward`; before the last page a caller over HTTP is told of the cursor."""


_set = Exception.__setattr__


class Verdict(Exception):
    """What `Repeat`, `Limited`, `Stop` and `Trash` have in common: a value that can be raised.

    Equal when of the same class with equal fields. Fields are set once; what Python itself sets on an exception
    (`__traceback__`, `__notes__`, ...) stays open.
    """

    reason: str
    message: AnyMessage | None

    def __str__(self) -> str:
        """Return the reason."""
        return str(self.reason)

    def __setattr__(self, name: str, value: object) -> None:
        """Set a field that is not set yet. Raises `FrozenInstanceError`."""
        if name in self.__dict__:
            self._check_open(name)
        _set(self, name, value)

    def __delattr__(self, name: str) -> None:
        """Raises `FrozenInstanceError` for a field."""
        self._check_open(name)
        super().__delattr__(name)

    def _check_open(self, name: str) -> None:
        if not name.startswith("__"):
            raise FrozenInstanceError(f"{name} of {type(self).__name__} cannot change: make another with `replace`")

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the fields, whatever the constructor of a subclass takes."""
        return _restored, (type(self), self.__dict__)


def _restored(kind: type[Verdict], fields: Mapping[str, Any]) -> Verdict:
    verdict = kind.__new__(kind)
    verdict.__dict__.update(fields)
    return verdict


@dataclass(unsafe_hash=True)
class Repeat(Verdict):
    """Try the same message again later; until then it waits in the broker, not in memory.

    A node's own repeater settings win over `after` and `max_hops`.
    """

    after: Delay
    """A fixed time, or an `Exponential` one, which grows with the calls made so far."""
    reason: str = ""
    max_hops: int = 10
    """Calls of the action in total; one more and the message goes to the trash."""
    message: AnyMessage | None = None
    """Carries the headers to park with, where they differ from those of the message that was received."""


@dataclass(unsafe_hash=True)
class Limited(Verdict):
    """The service's limit is used up: hand the message back to the limiter. That costs no hop."""

    reason: str = ""
    after: timedelta | None = None
    """The service's own word on when to come back, if it gave one."""
    message: AnyMessage | None = None


@dataclass(unsafe_hash=True)
class Stop(Verdict):
    """End this branch of the run here; it counts as a success."""

    reason: str = ""
    message: AnyMessage | None = None


@dataclass(unsafe_hash=True)
class Trash(Verdict):
    """The message cannot go on: keep it in the trash with the reason, for a person to decide."""

    reason: str
    message: AnyMessage | None = None


Outcome = Forward | Repeat | Limited | Stop | Trash | Page
"""What an action may return beside a `Message`."""


def as_value(verdict: Verdict) -> Outcome:
    """Return the verdict as a plain value of its class, and forget what raising it has left behind.

    A traceback keeps the frames of the action alive, with the message and all that the action has read; in a
    verdict that is kept and raised again and again it grows with each time.
    """
    verdict.__traceback__ = verdict.__cause__ = verdict.__context__ = None
    match verdict:
        case Repeat():
            return Repeat(verdict.after, verdict.reason, verdict.max_hops, verdict.message)
        case Limited():
            return Limited(verdict.reason, verdict.after, verdict.message)
        case Stop():
            return Stop(verdict.reason, verdict.message)
    return Trash(verdict.reason, verdict.message)
