"""What an action has raised that is no verdict: an error of its code, or of what it called.

A queue's message goes to the trash with it. Who calls over HTTP is told that the call failed, without the place.
"""

import traceback
from dataclasses import dataclass

from applications.errors import ApplicationError, Disabled, NotInstalled
from connectors import Outcome, Trash
from connectors.secrets import without_secrets
from worker.actions.errors import text_without_values
from worker.actions.outcomes import is_verdict, outcome_of_error
from worker.errors import text_of


@dataclass(unsafe_hash=True)
class ActionFailed(Trash):
    """The action failed; `reason` is for our log, `text` for the caller."""

    text: str = ""
    detail: str = ""
    """The stack, for debugging."""


def failed(error: BaseException, action: str) -> Outcome:
    """Return what becomes of the message whose action has raised this, and keep what its caller is told."""
    outcome = outcome_of_error(error, action)
    if not isinstance(outcome, Trash) or is_verdict(error):
        return outcome
    detail = "".join(traceback.format_exception(error))
    return ActionFailed(outcome.reason, None, without_secrets(told(error)), without_secrets(detail))


def told(error: BaseException) -> str:
    """Return what a caller is told of an error: its text, with its type where that says more."""
    if isinstance(error, NotInstalled | Disabled):
        return told_of_install(error.user, error.application)
    is_plain = type(error) is Exception or isinstance(error, ApplicationError)
    return text_of(error) if is_plain else f"{type(error).__name__}: {text_without_values(error)}"


def told_of_install(user: str, application: str) -> str:
    """Return what the platform's SDK says of an install that is not there, or switched off."""
    if not user:
        return "User not defined"
    return f"ApplicationInstall with user [{user}] and name [{application}] has not been found!"
