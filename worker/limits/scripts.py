"""The scripts that run in Redis: the constants of both stores, what all scripts begin with, and their own text."""

from pathlib import Path

from worker.limits import fairness, reservations, windows

FOLDER = Path(__file__).parent

LISTED_SECONDS = 86_400
"""Limits that nobody has used for this time are not listed any more."""

CONSTANTS = {
    "AHEAD": reservations.AHEAD_SECONDS,
    "SLACK": reservations.SLACK_SECONDS,
    "EAGERNESS": reservations.EAGERNESS,
    "PATIENCE": reservations.PATIENCE_SECONDS,
    "IDLE": reservations.IDLE_SECONDS,
    "HALVING": reservations.HALVING_SECONDS,
    "SLOWEST": reservations.SLOWEST,
    "ROUNDING": windows.ROUNDING_SECONDS,
    "SPACINGS": windows.SPACINGS,
    "LAG": fairness.LAG,
    "SAMPLE": fairness.SAMPLE,
    "PASSES": fairness.PASSES,
    "FEW": fairness.FEW,
    "LISTED": LISTED_SECONDS,
}


def script(name: str) -> str:
    """Return the whole text of a script, such as `ask`."""
    constants = [f"local {constant} = {_lua(value)}\n" for constant, value in CONSTANTS.items()]
    return "".join([*constants, *((FOLDER / f"{part}.lua").read_text() for part in ("limit", name))])


def _lua(value: object) -> str:
    return "{" + ", ".join(map(_lua, value)) + "}" if isinstance(value, tuple) else repr(value)
