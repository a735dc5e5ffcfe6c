"""What the log says of limits that nobody can ask: one line for each outage, and one at its end."""

import structlog

from worker.errors import LimitRefused, LimitsAway

log = structlog.get_logger()


class Outages:
    """Remembers what has been told, over all messages of the process."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._refused: set[str] = set()
        """Of limits that cannot be kept while others can: the store's answers do not end these."""

    def noticed(self, away: LimitsAway) -> None:
        """Tell of it, unless it has been told."""
        told, cause = self._refused if isinstance(away, LimitRefused) else self._told, str(away)
        if cause not in told:
            told.add(cause)
            log.warning("limits_away", cause=cause, consequence="limited messages wait in the broker")

    def answered(self) -> None:
        """Tell that the store is back."""
        if self._told:
            self._told.clear()
            log.info("limits_back")
