"""What the gate tells Prometheus and the log of lines that wait."""

from typing import Any

from structlog.testing import capture_logs

from worker.limits.metrics import GROWING_SECONDS, KNOWN_SECONDS, LimitMetrics
from worker.prometheus import render


def shown(metrics: LimitMetrics, now: float, name: str) -> list[str]:
    """Return the samples of a metric."""
    return [line for line in render(metrics.families(now)).splitlines() if line.startswith(name)]


def noting(*waiting: int, every_seconds: float) -> list[dict[str, Any]]:
    """Note these numbers of waiting messages one after another; return what is logged."""
    metrics = LimitMetrics()
    with capture_logs() as lines:
        for number, count in enumerate(waiting):
            metrics.waiting("shop", "alice|shop", count, number * every_seconds)
    return lines  # type: ignore[return-value] - each is a dict


def test_a_line_that_becomes_longer_for_ten_minutes_is_logged_every_ten_minutes() -> None:
    lines = noting(*range(5, 26), every_seconds=60)
    assert [(line["event"], line["line"], line["before"], line["waiting"], line["seconds"]) for line in lines] == [
        ("limit_backlog_grows", "alice|shop", 5, 15, GROWING_SECONDS),
        ("limit_backlog_grows", "alice|shop", 15, 25, GROWING_SECONDS),
    ]


def test_a_line_that_becomes_shorter_in_between_or_stays_is_not_logged() -> None:
    assert noting(5, 9, 4, 6, 8, every_seconds=200) == []
    assert noting(5, 5, 5, 5, 5, every_seconds=200) == []
    assert noting(5, 9, 0, 9, 9, every_seconds=200) == []


def test_waiting_messages_are_counted_by_application_until_nothing_is_heard_of_them() -> None:
    metrics, name = LimitMetrics(), "orchesty_worker_limit_waiting{"
    for application, line, waiting, now in (
        *(("shop", "alice|shop", 3, 0), ("shop", "bob|shop", 4, 5)),
        *(("shop", "bob|shop", 2, 9), ("mail", "|mail", 7, 9), ("mail", "eve|mail", 1, 9), ("mail", "eve|mail", 0, 9)),
    ):
        metrics.waiting(application, line, waiting, now)
    mail, shop = (f'{name}application="{application}"}}' for application in ("mail", "shop"))
    assert shown(metrics, 10, name) == [f"{mail} 7", f"{shop} 5"]
    assert shown(metrics, KNOWN_SECONDS + 1, name) == [f"{mail} 7", f"{shop} 2"]


def test_lines_are_forgotten_also_when_nobody_looks_at_the_metrics() -> None:
    metrics = LimitMetrics()
    for number in range(3000):
        metrics.waiting("shop", f"user{number}|shop", 1, number)
    assert len(metrics._lines) <= 2 * KNOWN_SECONDS


def test_calls_and_how_long_they_waited_are_counted() -> None:
    metrics = LimitMetrics()
    for delay_seconds in (-0.001, 0.2, 0.8):
        metrics.granted("shop", delay_seconds)
    assert shown(metrics, 0, "orchesty_worker_limit_granted_total{") == [
        'orchesty_worker_limit_granted_total{application="shop"} 3'
    ]
    name = "orchesty_worker_limit_delay_seconds"
    assert shown(metrics, 0, f"{name}_count") == [f'{name}_count{{application="shop"}} 3']
    assert shown(metrics, 0, f"{name}_sum") == [f'{name}_sum{{application="shop"}} 1']
    buckets = [line.split() for line in shown(metrics, 0, f"{name}_bucket")]
    counts = {label.split('le="')[1].rstrip('"}'): count for label, count in buckets}
    assert (counts["0.05"], counts["0.25"], counts["1"]) == ("1", "2", "3")
