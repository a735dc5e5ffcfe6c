"""Who wants to know of the requests that actions send."""

from contextvars import ContextVar
from typing import Protocol


class CallObserver(Protocol):
    """Whoever wants to know of the requests of a call."""

    async def sent(self, at: float) -> None:
        """Take note that a request was written to its connection, at this time by the monotonic clock."""


call_observer: ContextVar[CallObserver | None] = ContextVar("call_observer", default=None)
"""Who observes the requests of this context; None: nobody does.

A context variable because the action lies between the limits, which ask, and the connection, which knows."""
