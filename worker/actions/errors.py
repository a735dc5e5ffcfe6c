"""What errors of actions and applications mean for a message, and how they are told."""

import os
import traceback
from pathlib import Path

import pydantic
from pydantic import ValidationError

import connectors
from applications.errors import ApplicationError, TryLater
from connectors import Outcome, Repeat, Trash
from connectors.secrets import without_secrets
from worker.errors import text_of

MAX_TRIES = 100
"""How often a message waits for a token endpoint or a database before it goes to the trash: hours, not minutes."""

MOST_OF_GROUP = 5
"""Errors of a group that are told."""


def outcome_of(error: ApplicationError) -> Outcome:
    """Return what becomes of the message whose action met the error."""
    if isinstance(error, TryLater):
        return Repeat(error.after, text_of(error), MAX_TRIES)
    return Trash(text_of(error))


_LIBRARIES = (Path(os.__file__).parent, Path(pydantic.__file__).parent.parent)


_OUR_PACKAGES = {Path(__file__).parent, Path(connectors.__file__).parent}


def describe(error: BaseException) -> str:
    """Return type, text and place of an error. No values of variables: they may hold secrets."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}: {'; '.join(map(describe, error.exceptions[:MOST_OF_GROUP]))}"
    return f"{type(error).__name__}: {without_secrets(text_without_values(error))}{_place(frames)}"


def _place(frames: traceback.StackSummary) -> str:
    """Show the innermost line of the action itself, else of ours: what they called in libraries says less."""
    code = [frame for frame in frames if not _is_library(frame)]
    own = [frame for frame in code if Path(frame.filename).parent not in _OUR_PACKAGES]
    if not code:
        return ""
    frame = (own or code)[-1]
    path = Path(frame.filename)
    return f" (at {path.parent.name}/{path.name}:{frame.lineno} in {frame.name})"


def _is_library(frame: traceback.FrameSummary) -> bool:
    return any(Path(frame.filename).is_relative_to(folder) for folder in _LIBRARIES)


def text_without_values(error: BaseException) -> str:
    """Return what an error says; of one of validation the places and problems, not what was there."""
    if not isinstance(error, ValidationError):
        return text_of(error)
    problems = error.errors(include_input=False, include_url=False)
    return f"{error.title}: " + "; ".join(
        f"at ${''.join(f'.{part}' for part in problem['loc'])}: {problem['msg']}" for problem in problems
    )
