"""The arithmetic of sliding windows: pure functions over sorted times of calls, past and reserved, in seconds.

A limit holds when any `amount + 1` calls in a row span at least its width. `ask.lua` does the same in Redis.
"""

from bisect import bisect_right
from collections.abc import Sequence

ROUNDING_SECONDS = 1e-5
"""Times go through text with microseconds."""

SPACINGS = ((0.3, 0.005), (0.8, 0.02))
"""The least distance between calls, while less than half of the amount is used and afterwards: a share of the even
distance, and no more than these seconds.

Without it a limit that was used up at once would be used up at once ever after, and hundreds of calls that become
due in the same moment are spread by the machine in ways that nobody can foresee.
"""


def earliest(times: Sequence[float], amount: int, width: float, at: float) -> float:
    """Return the first moment from `at` on at which one more call keeps the limit, whatever is reserved after it."""
    while (moved := _conflict(times, amount, width, at)) is not None:
        at = moved
    return at


def _conflict(times: Sequence[float], amount: int, width: float, at: float) -> float | None:
    """Return when the last window that has no room at this moment is over; None when all have."""
    before = bisect_right(times, at)
    for first in range(min(before, len(times) - amount), max(0, before - amount) - 1, -1):
        if max(at, times[first + amount - 1]) - min(at, times[first]) < width - ROUNDING_SECONDS:
            return times[first] + width
    return None


def spaced(times: Sequence[float], amount: int, width: float, at: float) -> float:
    """Return the moment for a call that keeps its distance to the last one."""
    if not times or times[-1] > at:
        return at
    share, most = SPACINGS[len(times) * 2 > amount]
    return max(at, times[-1] + min(share * width / amount, most))


def wait_behind(times: Sequence[float], amount: int, width: float, cycle: float, now: float, calls: float) -> float:
    """Return how long a call waits that has this many before it which are not in `times` yet.

    Room that a call of `times` takes is free after the width, that of a later one is used again after each cycle.
    """
    behind = int(calls) - (amount - len(times))
    if behind < 0:
        return 0
    rounds, index = divmod(behind, amount)
    start = times[index] if index < len(times) else now
    return max(0.0, start + width + rounds * cycle - now)


def idle_since(times: Sequence[float], amount: int, width: float) -> float:
    """Return since when there has been room for a call."""
    return times[-amount] + width if len(times) >= amount else float("-inf")
