"""What the limit gate tells Prometheus and the log."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from worker.prometheus import WAITING_SECONDS, Family, Histogram

log = structlog.get_logger()

GROWING_SECONDS = 600
"""A line that has become longer for this time is logged."""

KNOWN_SECONDS = 600
"""A line of which nothing was heard for this time is not counted any more."""


@dataclass(slots=True)
class _Backlog:
    """Messages of a line that wait: now, and when they began to become more."""

    application: str
    waiting: int
    heard: float
    low: int
    since: float


class LimitMetrics:
    """Counts per application; memory grows with the lines that wait, and shrinks again."""

    def __init__(self) -> None:
        self._granted: Counter[str] = Counter()
        self._delay: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(WAITING_SECONDS))
        self._lines: dict[str, _Backlog] = {}
        self._tidied = 0.0

    def granted(self, application: str, delay_seconds: float) -> None:
        """Count a call that may be made, after waiting here."""
        self._granted[application] += 1
        self._delay[application].observe(max(delay_seconds, 0))

    def waiting(self, application: str, line: str, waiting: int, now: float) -> None:
        """Note how many messages of a line wait; a backlog that grows for ten minutes is logged."""
        if now - self._tidied >= KNOWN_SECONDS:
            self._tidy(now)
        backlog = self._lines.get(line)
        if waiting <= 0:
            self._lines.pop(line, None)
            return
        if backlog is None:
            self._lines[line] = _Backlog(application, waiting, now, waiting, now)
            return
        backlog.waiting, backlog.heard = waiting, now
        if waiting < backlog.low:
            backlog.low, backlog.since = waiting, now
        elif now - backlog.since >= GROWING_SECONDS:
            if waiting > backlog.low:
                log.warning(
                    "limit_backlog_grows",
                    line=line,
                    waiting=waiting,
                    before=backlog.low,
                    seconds=GROWING_SECONDS,
                )
            backlog.low, backlog.since = waiting, now

    def families(self, now: float) -> Iterator[Family]:
        """Return the metrics."""
        self._tidy(now)
        waiting: Counter[str] = Counter()
        for backlog in self._lines.values():
            waiting[backlog.application] += backlog.waiting
        yield Family(
            "orchesty_worker_limit_granted_total",
            "counter",
            "Calls that a limit let go.",
            [({"application": name}, count) for name, count in sorted(self._granted.items())],
        )
        yield Family(
            "orchesty_worker_limit_waiting",
            "gauge",
            "Messages that wait for a limit, of the lines that this worker has seen in ten minutes; all workers' "
            "messages with Redis, so do not add them up.",
            [({"application": name}, count) for name, count in sorted(waiting.items())],
        )
        yield Family(
            "orchesty_worker_limit_delay_seconds",
            "histogram",
            "Time that a call waited here for its turn; that in the broker is part of message_waiting_seconds.",
            [({"application": name}, delay) for name, delay in sorted(self._delay.items())],
        )

    def _tidy(self, now: float) -> None:
        """Forget lines that another worker has finished."""
        self._tidied = now
        self._lines = {line: own for line, own in self._lines.items() if now - own.heard < KNOWN_SECONDS}
