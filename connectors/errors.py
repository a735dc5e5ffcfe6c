"""Errors of calls, and what each does to the message of an action that does not catch it.

    Verdict                      says what becomes of the message (`connectors.outcome`)
    ├── Repeat                   wait in the broker, then try again
    │   └── StorageAway          the data storage cannot be reached
    ├── Limited                  the service's limit is used up
    ├── Stop                     end the branch, as a success
    └── Trash                    to the trash, with the reason
        ├── PagingLoop           a page came twice, or there is no end of pages
        ├── GraphQLFailed        errors in the answer of a GraphQL service
        └── SoapFault            a fault of a SOAP service
    ReplyUnreadable (ValueError) a reply is not what it says it is, or too large
    └── ReplyTruncated           a reply ends too early

Any other exception sends the message to the trash with its type, text and place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from connectors.delay import Delay
from connectors.outcome import Repeat, Trash


@dataclass(unsafe_hash=True, kw_only=True)
class StorageAway(Repeat):
    """The data storage cannot be reached, or refuses; the message waits in the broker until it can."""

    after: Delay = timedelta(seconds=30)
    max_hops: int = 100_000


class PagingLoop(Trash):
    """The pages of a batch go round in circles, or do not end."""


@dataclass(unsafe_hash=True)
class GraphQLFailed(Trash):
    """A GraphQL service answered with errors, or with `userErrors` of a mutation."""

    errors: Sequence[Any] = field(default=(), hash=False)
    """The errors as the service wrote them."""
    data: Any = field(default=None, hash=False)
    """The data that came beside them; null where a field failed."""


@dataclass(unsafe_hash=True)
class SoapFault(Trash):
    """A SOAP service answered with a fault; catch it where a fault means something else than the trash."""

    code: str = ""
    """The fault's code, such as `soap:Client`."""
    text: str = ""
    """The fault's own text; `reason` names the operation as well."""
    subcodes: tuple[str, ...] = ()
    """What SOAP 1.2 says beside the code, from the outside in."""
    detail: Any = field(default=None, hash=False)
    """What the service says about it, as plain values; None when it says nothing."""
