"""How long a message waits before a repeat: a fixed time, or one that grows."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

SHORTEST: Final = timedelta(seconds=1)
"""The platform's repeater counts in whole seconds, from one."""


@dataclass(frozen=True, slots=True)
class Exponential:
    """A time that grows with each call, with full jitter.

    After call n the message waits a random time between a second and `first * factor ** (n - 1)`, at most `longest`:
    messages that failed together do not come back together.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first: timedelta = timedelta(seconds=10)
    """The longest time after the first call."""
    factor: float = 2
    """By how much it grows with each call."""
    longest: timedelta = timedelta(hours=1)
    """What it does not grow beyond."""

    def after(self, hop: int, uniform: Callable[[float, float], float]) -> timedelta:
        """Return the time after `hop` calls; `uniform(low, high)` is the source of chance, in seconds."""
        most = self.longest.total_seconds()
        with suppress(OverflowError):
            most = min(self.first.total_seconds() * self.factor ** (max(hop, 1) - 1), most)
        return max(timedelta(seconds=uniform(0, most)), SHORTEST)


Delay = timedelta | Exponential
