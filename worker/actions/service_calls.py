"""Calls of services: a log line at debug level for each, and figures by application, method and status."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from connectors.http import Call
from worker.prometheus import ACTION_SECONDS, Family, Histogram

log = structlog.get_logger()


class Calls:
    """What the actions of a process have called. By application, not by host: a tenant each would be too many."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._told: Callable[[Call], object] | None = None
        self._seconds: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(ACTION_SECONDS))

    @contextmanager
    def telling(self, told: Callable[[Call], object]) -> Iterator[None]:
        """Tell somebody of each call as well, while the context is open."""
        self._told = told
        try:
            yield
        finally:
            self._told = None

    def note(self, call: Call) -> None:
        """Count and log a call."""
        self._counts[call.application, call.method, call.status] += 1
        self._seconds[call.application].observe(call.seconds)
        log.debug(
            "service_called",
            method=call.method,
            host=call.host,
            status=call.status,
            seconds=round(call.seconds, 4),
            application=call.application,
            user=call.user,
        )
        if self._told is not None:
            self._told(call)

    def families(self) -> Iterator[Family]:
        """Return the metrics."""
        counts = [
            ({"application": application, "method": method, "status": str(status or "none")}, count)
            for (application, method, status), count in sorted(self._counts.items())
        ]
        seconds = [({"application": name}, histogram) for name, histogram in sorted(self._seconds.items())]
        yield Family(
            "orchesty_worker_service_calls_total",
            "counter",
            "Requests that actions sent to services, by the status of the reply; none: there was no reply.",
            counts,
        )
        yield Family(
            "orchesty_worker_service_call_seconds", "histogram", "Time until the head of the reply came.", seconds
        )
