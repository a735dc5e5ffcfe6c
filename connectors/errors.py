"""Errors that an action raises to say what shall happen to its message, and what calls raise.

    ActionInterrupted            carries an outcome
    ├── RepeatLater              wait in the broker, then try again
    │   └── StorageAway          the data storage cannot be reached
    ├── LimitExceeded            the service's limit is used up
    ├── DoNotContinue            end the branch, as a success
    └── StopAndFail              to the trash, with the reason
        ├── PagingLoop           a page came twice, or there is no end of pages
        ├── GraphQLFailed        errors in the answer of a GraphQL service
        └── SoapFault            a fault of a SOAP service
    ReplyUnreadable (ValueError) a reply is not what it says it is, or too large
    └── ReplyTruncated           a reply ends too early

Any other exception sends the message to the trash with its type, text and place.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from connectors.delay import Delay
from connectors.outcome import Limited, Outcome, Repeat, Stop, Trash


class ActionInterrupted(Exception):
    """Ends an action early with `outcome`."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class RepeatLater(ActionInterrupted):
    """Try again `after` this time (a `timedelta` or `Exponential`), at most `max_hops` calls in total."""

    def __init__(self, after: Delay, reason: str = "", *, max_hops: int = 10) -> None:
        super().__init__(Repeat(after, reason, max_hops), reason)


class StorageAway(RepeatLater):
    """The data storage cannot be reached, or refuses; the message waits in the broker until it can."""

    def __init__(self, reason: str) -> None:
        super().__init__(timedelta(seconds=30), f"data storage: {reason}", max_hops=100_000)


class LimitExceeded(ActionInterrupted):
    """Give the message back to the limiter; `after` is the service's own word on when to come back."""

    def __init__(self, reason: str = "", *, after: timedelta | None = None) -> None:
        super().__init__(Limited(reason, after), reason)


class DoNotContinue(ActionInterrupted):
    """End this branch of the run here, as a success."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(Stop(reason), reason)


class StopAndFail(ActionInterrupted):
    """Put the message into the trash with this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(Trash(reason), reason)


class PagingLoop(StopAndFail):
    """The pages of a batch go round in circles, or do not end."""


class GraphQLFailed(StopAndFail):
    """A GraphQL service answered with errors, or with `userErrors` of a mutation."""

    def __init__(self, reason: str, errors: Sequence[Any]) -> None:
        """Carry the `errors` as the service wrote them."""
        super().__init__(reason)
        self.errors = errors


class SoapFault(StopAndFail):
    """A SOAP service answered with a fault."""

    def __init__(self, reason: str, code: str, message: str) -> None:
        """Carry the fault's code and text; catch it where a fault means something else than the trash."""
        super().__init__(reason)
        self.code = code
        self.message = message
