"""What errors of applications mean for a message."""

from applications import ApplicationError, TryLater
from connectors import Outcome, Repeat, Trash

MAX_TRIES = 100
"""How often a message waits for a token endpoint or a database before it goes to the trash: hours, not minutes."""


def outcome_of(error: ApplicationError) -> Outcome:
    """Return what becomes of the message whose action met the error."""
    if isinstance(error, TryLater):
        return Repeat(error.after, str(error), MAX_TRIES)
    return Trash(str(error))
