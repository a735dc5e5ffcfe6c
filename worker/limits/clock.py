"""The server's clock, seen from here: by the fastest exchanges, so that our own delays do not count."""

DRIFT = 0.0005
"""Seconds by which two clocks drift apart in a second at most: what NTP corrects a clock by."""

KEPT_SECONDS = 60.0
"""After this time without an exchange the clock is asked before anything depends on it."""


class RemoteClock:
    """Translates the server's time to our monotonic clock; our wall clock plays no part."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._taken_at = float("-inf")
        self._took = float("inf")

    def exchanged(self, sent: float, theirs: float, received: float) -> None:
        """Take note that the server answered `theirs` between `sent` and `received`."""
        took, offset, known = received - sent, (sent + received) / 2 - theirs, self.uncertain_seconds(received)
        has_moved = abs(offset - self._offset) > (took + known) / 2 + 0.001
        if took <= known or has_moved:
            self._offset, self._taken_at, self._took = offset, received, took

    def exchanges_needed(self, now: float) -> int:
        """Return how many exchanges to make first: one connects, which takes long, and one after that is good."""
        if self._took == float("inf"):
            return 2
        return int(now - self._taken_at > KEPT_SECONDS)

    def uncertain_seconds(self, now: float) -> float:
        """Return the width of what is not known of the translation: half of it to either side."""
        return self._took if self._took == float("inf") else self._took + DRIFT * (now - self._taken_at)

    def ours(self, theirs: float, now: float) -> float:
        """Return when the server's time has come for certain, by our monotonic clock."""
        return theirs + self._offset + self.uncertain_seconds(now) / 2

    def theirs(self, ours: float, now: float) -> float:
        """Return the server's time at most, at our monotonic time."""
        return ours - self._offset + self.uncertain_seconds(now) / 2
