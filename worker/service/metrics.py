"""What is counted of requests and of calls of actions: `docs/alerts.md` lists it.

What can be counted begins at 0: Prometheus sees no increase in a series that begins with its first event.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from connectors import Limited, Outcome, Repeat, Trash
from worker.prometheus import ACTION_SECONDS, Family, Histogram
from worker.service.routing import Route

PREFIX: Final = "orchesty_worker_http_"
NO_ROUTE: Final = ("", "")
"""Requests that no route answers, and those of callers that may not call."""
TRASHED: Final = "trashed"
UNREACHABLE: Final = "unreachable"
DESCRIBED: Final = "(described)"
"""Stands for all actions that only their names describe: callers may make up such names."""
_ENDS: Final = ("done", "repeated", "limited", TRASHED, UNREACHABLE)
_RESULTS: Final = ("answered", "refused", "failed")
_REFUSED, _FAILED = 400, 500
_SECONDS: Final = (0.1, 1, 10)
"""Few bounds: there are many routes. Those of actions have their own."""


def outcome_name(outcome: Outcome) -> str:
    """Return what becomes of a message with this outcome."""
    match outcome:
        case Repeat():
            return "repeated"
        case Limited():
            return "limited"
        case Trash():
            return TRASHED
    return "done"


class RequestMetrics:
    """Counts requests and their time by route."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._seconds = {(route.method, route.pattern): Histogram(_SECONDS) for route in routes}
        self._seconds[NO_ROUTE] = Histogram(_SECONDS)
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def answered(self, route: Route | None, status: int, seconds: float) -> None:
        """Take note of an answer."""
        key = (route.method, route.pattern) if route else NO_ROUTE
        result = _RESULTS[(status >= _REFUSED) + (status >= _FAILED)]
        self._counts[*key, result] += 1
        self._seconds[key].observe(seconds)

    def families(self) -> Iterator[Family]:
        """Return the metrics."""
        labels = {key: {"method": key[0], "route": key[1]} for key in self._seconds}
        yield Family(
            f"{PREFIX}requests_total", "counter",
            "Requests to the service, by whether they were answered, refused (4xx) or failed (5xx).",
            [({**labels[key], "result": result}, self._counts[*key, result]) for key in labels for result in _RESULTS],
        )  # fmt: skip
        yield Family(
            f"{PREFIX}request_duration_seconds", "histogram", "Time until a request was answered.",
            [(labels[key], seconds) for key, seconds in self._seconds.items()],
        )  # fmt: skip


@dataclass(slots=True)
class CallMetrics:
    """Counts the calls of one action and their time."""

    kind: str
    name: str
    counts: Counter[str] = field(default_factory=Counter)
    seconds: Histogram = field(default_factory=lambda: Histogram(ACTION_SECONDS))


def call_families(calls: Iterable[CallMetrics]) -> Iterator[Family]:
    """Return the metrics of calls."""
    labelled = [({"kind": call.kind, "action": call.name}, call) for call in calls]
    yield Family(
        f"{PREFIX}actions_total", "counter", "Calls of an action over HTTP, by what became of the message.",
        [({**labels, "outcome": end}, call.counts[end]) for labels, call in labelled for end in _ENDS],
    )  # fmt: skip
    yield Family(
        f"{PREFIX}action_duration_seconds", "histogram", "Time an action took that was called over HTTP.",
        [(labels, call.seconds) for labels, call in labelled],
    )  # fmt: skip
