"""How many calls a service allows."""

from dataclasses import dataclass
from typing import Final

MOST: Final = 10**9
"""The largest amount, and the longest window in seconds (31 years): more is a mistake."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` calls in any `seconds`, both whole, from 1 to a thousand million."""

    seconds: int
    amount: int

    def __post_init__(self) -> None:
        """Raises `ValueError` for what cannot be kept."""
        if not (1 <= self.seconds <= MOST and 1 <= self.amount <= MOST):
            raise ValueError(
                f"Limit(seconds={self.seconds}, amount={self.amount}): both must be whole numbers from 1 to {MOST}"
            )


def limit_name(user: str, application: str, sdk: str = "") -> str:
    """Return whose limit it is, as a `limiter-key` names it; what separates there is escaped in the user's id."""
    return f"{_escaped(user)}|{of_service(application, sdk)}"


def of_service(application: str, sdk: str) -> str:
    """Return the application as limits name it: `sdk:application` for an install of a registered service."""
    return f"{_escaped(sdk).replace('|', '%7C')}:{application}" if sdk else application


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace(";", "%3B")
