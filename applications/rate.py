"""How often a service may be called."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `amount` calls in any window of `seconds`, both whole and at least 1."""

    amount: int
    seconds: int

    def __post_init__(self) -> None:
        """Refuse what cannot be kept."""
        if self.amount < 1 or self.seconds < 1:
            raise ValueError(f"Rate(amount={self.amount}, seconds={self.seconds}): both must be at least 1")
