"""The server's clock, seen from here: by the fastest exchanges, so that our own delays do not count."""

KEPT_SECONDS = 60.0
"""Clocks drift apart; an exchange is forgotten after this time."""


class RemoteClock:
    """Translates the server's time to our monotonic clock; our wall clock plays no part."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._taken_at = float("-inf")
        self.round_trip_seconds = float("inf")
        """Of the fastest exchange; the translation is wrong by half of it at most."""

    def exchanged(self, sent: float, theirs: float, received: float) -> None:
        """Take note that the server answered `theirs` between `sent` and `received`."""
        took, offset = received - sent, (sent + received) / 2 - theirs
        has_moved = abs(offset - self._offset) > (took + self.round_trip_seconds) / 2 + 0.001
        if took <= self.round_trip_seconds or has_moved or received - self._taken_at > KEPT_SECONDS:
            self._offset, self._taken_at, self.round_trip_seconds = offset, received, took

    def ours(self, theirs: float) -> float:
        """Return the server's time by our monotonic clock."""
        return theirs + self._offset

    def theirs(self, ours: float) -> float:
        """Return our monotonic time by the server's clock."""
        return ours - self._offset
