"""Time for tests: it stands still while there is work, and jumps to what is due when there is none."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that others move. Called, it gives the seconds since the start of the test.

    In an `InMemoryTopology` only `run` moves it.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._alarms: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._waiting: set[asyncio.Future[None]] = set()
        self.changed = asyncio.Event()
        """Set when somebody begins to wait."""

    def __call__(self) -> float:
        """Return the seconds that have passed."""
        return self._seconds

    @property
    def now(self) -> datetime:
        """The time, in UTC; tests begin at the first moment of 2026."""
        return START + timedelta(seconds=self._seconds)

    @property
    def milliseconds(self) -> int:
        """The time as `published-timestamp` counts it: milliseconds since 1970."""
        return int(self.now.timestamp() * 1000)

    @property
    def waiting(self) -> int:
        """How many wait in place for a time to come."""
        return sum(not over.done() for over in self._waiting)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back when `seconds` have passed."""
        heappush(self._alarms, (self._seconds + seconds, next(self._numbers), callback))

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait by this clock, as `worker.patience.wait_for` does by the real one; the event counts at the end."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(over)
        self.call_later(seconds, partial(_finish, over))
        self.changed.set()
        try:
            await over
        finally:
            self._waiting.discard(over)
        return event.is_set()

    def advance(self, until: float | None = None) -> bool:
        """Jump to the next moment for which something is due; False when there is none, or none before `until`."""
        if not self._alarms or (until is not None and self._alarms[0][0] > until):
            self._seconds = max(self._seconds, until or 0)
            return False
        self._seconds = max(self._seconds, self._alarms[0][0])
        while self._alarms and self._alarms[0][0] <= self._seconds:
            heappop(self._alarms)[2]()
        return True


def _finish(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)
