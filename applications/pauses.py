"""How long to wait for what does not answer."""

import random
from typing import Final

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 30.0
_DOUBLINGS: Final = 60
"""More than any longest pause needs; some numbers later a float would overflow."""


def back_off(failures: int, *, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> float:
    """Return how many seconds to wait after this many earlier failures in a row.

    Twice as long each time, up to the longest; and half of it by chance, so that not all who wait come back together.
    """
    return min(first * 2.0 ** min(failures, _DOUBLINGS), longest) * random.uniform(0.5, 1)  # noqa: S311 - jitter
