"""What the way of a message knows of counting."""

from collections.abc import Sequence
from typing import Protocol

from worker.protocol.identity import SentMessage
from worker.protocol.message import Visit
from worker.runs.run import MessageState


class Written(Protocol):
    """Something that is being written."""

    async def written(self) -> None:
        """Return when it is committed. Raises `HandBack` when the worker stops before."""


class Runs(Protocol):
    """Follows the messages of runs."""

    def arrived(self, visit: Visit) -> tuple[Visit, Written | None]:
        """Note a message that comes from nobody: a run begins, or a person has approved it.

        Returns it with its step, and what has to be written before it is sent on.
        """

    def is_cancelled(self, visit: Visit) -> bool:
        """Whether the run of the message is cancelled."""

    async def set_aside(self, visit: Visit) -> None:
        """Note that a message will wait; return when people can see it. Raises `HandBack` when the worker stops."""

    async def ended(self, visit: Visit, state: MessageState, sent: Sequence[SentMessage]) -> None:
        """Note that a message has ended; return when that is committed. Raises `HandBack` when the worker stops."""


class UncountedRuns:
    """Runs that nobody counts here: in the platform, or where it is switched off."""

    def arrived(self, visit: Visit) -> tuple[Visit, None]:
        """Return it as it is."""
        return visit, None

    def is_cancelled(self, visit: Visit) -> bool:
        """No."""
        return False

    async def set_aside(self, visit: Visit) -> None:
        """Do nothing."""

    async def ended(self, visit: Visit, state: MessageState, sent: Sequence[SentMessage]) -> None:
        """Do nothing."""
