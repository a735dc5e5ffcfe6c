"""Calls of services in the metrics and the log."""

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from connectors.http import Call
from worker.actions.service_calls import Calls
from worker.prometheus import render


def test_calls_are_counted_by_application_method_and_status_and_logged_with_their_host() -> None:
    calls = Calls()
    with capture_logs() as lines:
        for status in (200, 200, 503, 0):
            calls.note(Call("GET", "shop.example", status, 0.25, "shop", "bob"))
    assert lines[0] == {
        "event": "service_called",
        "log_level": "debug",
        "method": "GET",
        "host": "shop.example",
        "status": 200,
        "seconds": 0.25,
        "application": "shop",
        "user": "bob",
    }
    found = {family.name: family for family in text_string_to_metric_families(render(calls.families()))}
    counts: Sequence[Any] = found["orchesty_worker_service_calls"].samples
    by_status: Mapping[str, float] = {sample.labels["status"]: sample.value for sample in counts}
    assert by_status == {"200": 2, "503": 1, "none": 1}
    assert {sample.labels["application"] for sample in counts} == {"shop"}
    seconds = found["orchesty_worker_service_call_seconds"].samples
    assert [sample.value for sample in seconds if sample.name.endswith("_sum")] == [1]
