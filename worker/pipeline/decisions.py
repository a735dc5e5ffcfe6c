"""What the worker decides about a message beyond the outcomes of its action."""

from dataclasses import dataclass

from connectors import Outcome, Stop
from worker.limits.gate import Held


@dataclass(frozen=True, slots=True)
class UserTask:
    """The message waits for a person."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody has cancelled the run; the message ends here."""


class Duplicate(Stop):
    """Another message with the same key came before."""


Decision = Outcome | Held | UserTask | Cancelled
