"""How many calls a service allows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` calls in any `seconds`, both whole and at least 1."""

    seconds: int
    amount: int

    def __post_init__(self) -> None:
        """Refuse what cannot be kept."""
        if self.seconds < 1 or self.amount < 1:
            raise ValueError(f"Limit(seconds={self.seconds}, amount={self.amount}): both must be at least 1")
