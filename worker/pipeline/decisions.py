"""What is decided about a message, and what has to be done for it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from connectors import Outcome, Stop
from worker.limits.gate import Held
from worker.protocol.identity import SentMessage
from worker.protocol.message import Visit
from worker.protocol.transport import Publication
from worker.runs.run import MessageState


@dataclass(frozen=True, slots=True)
class UserTask:
    """The message waits for a person."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody has cancelled the run; the message ends here."""


class Duplicate(Stop):
    """Another message with the same key came before."""


@dataclass(frozen=True, slots=True)
class DoneBefore:
    """This very message is done, and only its acknowledgement was lost: nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The action did not answer. It is called again, or the run is given up."""

    reason: str
    started: float
    """When the call began, by the clock of `Failures`."""
    service: str = ""
    """What the platform says of it where a service was called; empty for an action of this process."""


Decision = Outcome | Held | UserTask | Cancelled | DoneBefore | Unreachable
"""`Unreachable` does not get out of the stage that calls again."""


@dataclass(frozen=True, slots=True)
class Keep:
    """An entry for the trash or the list of user tasks."""

    headers: Mapping[str, Any]
    reason: str | None
    """Why the message is in the trash; None for a user task."""


@dataclass(frozen=True, slots=True)
class Parked:
    """How a message looks when it comes back, and after how long."""

    headers: Mapping[str, Any]
    body: str
    seconds: float


@dataclass(slots=True)
class Settlement:
    """What is to be done: publish, keep, report; in this order."""

    publications: Sequence[Publication] = ()
    next_page: Publication | None = None
    """The batch's own message with the next cursor, for when the broker has the items."""
    keep: Keep | None = None
    is_success: bool | None = None
    """What the counter is told; None: nothing, the message is still on its way."""
    headers: Mapping[str, Any] | None = None
    """The headers to count with, where the action changed them."""
    report: Publication | None = None
    """The message for the counter."""
    sent: Sequence[SentMessage] = ()
    """Who the messages are that are sent on, where the run is counted here."""
    parked: Parked | None = None
    """What the publication brings back; None when somebody else decides when."""
    confirmed: Callable[[], Awaitable[None]] | None = None
    """What the action wants to be done when the broker has the publications."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A message and what is decided about it. Stages return it outwards, each with what it adds."""

    visit: Visit
    """The message as it is now: stages on the way in may have changed its headers."""
    decision: Decision
    settlement: Settlement | None = None
    """What has to be done for the decision; None before that is worked out."""
    state: MessageState | None = None
    """How the message has ended; None before the settlement is carried out, and while it is still on its way."""


Way = Callable[[Visit], Awaitable[Decided]]
"""What is left of a message's way."""


class Stage(Protocol):
    """Takes a message through a part of its way, around the rest."""

    def __call__(self, visit: Visit, call_next: Way) -> Awaitable[Decided]:
        """Return what `call_next` decides about the message, or decide without it: `async def`, as a rule.

        A stage may change the message on its way in (`visit.having(headers)`), go on more than once, and change what
        comes back. An error that it raises puts the message into the trash.
        """
