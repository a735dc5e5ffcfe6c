"""What a check has found."""

from dataclasses import dataclass
from enum import StrEnum


class FindingState(StrEnum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"
    """The worker works, but somebody should know."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Cannot be known from here, or not before something else is cured."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    check: str
    state: FindingState
    detail: str
    cure: str = ""


def ok(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check, FindingState.OK, detail)


def warning(check: str, detail: str, cure: str) -> Finding:
    """It works, but."""
    return Finding(check, FindingState.WARNING, detail, cure)


def failed(check: str, detail: str, cure: str) -> Finding:
    """It does not work."""
    return Finding(check, FindingState.FAILED, detail, cure)


def unknown(check: str, detail: str, cure: str = "") -> Finding:
    """Nobody can say."""
    return Finding(check, FindingState.UNKNOWN, detail, cure)
