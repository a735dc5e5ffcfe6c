"""The first message of a run: the headers and ids that each of the four ways to start one puts on the wire."""

import json
from typing import Any

from support.visits import RUN, node

from applications import WebhookCall
from connectors.topologies import Start
from worker.modes.standalone import headers_of
from worker.protocol import headers as h
from worker.protocol.message import decode, now_ms
from worker.protocol.start import random_ids, start_headers
from worker.runs.notices import start_message as notice_message
from worker.runs.run import Run, RunState
from worker.webhooks.intake import start_message
from worker.webhooks.webhook import Webhook

TOPOLOGY = {"topology-id": "t1", "topology-name": "sample"}


def timeless(headers: h.Headers) -> dict[str, Any]:
    """Return the headers but the time, which is now."""
    assert now_ms() - 10_000 < headers["process-started"] <= now_ms()
    return h.without(headers, frozenset({"process-started"}))


def test_a_run_that_a_person_starts_has_random_ids() -> None:
    headers = timeless(start_headers(random_ids(), node(), "alice", {"limiter-key": "a"}))
    ids = headers.pop("correlation-id"), headers.pop("process-id")
    assert len({*ids, random_ids().correlation_id, random_ids().process_id}) == 4
    own = {"content-type": "application/json", "user": "alice", "limiter-key": "a"}
    assert headers == {"parent-id": ""} | TOPOLOGY | own
    assert "user" not in start_headers(random_ids(), node(), None)


def test_a_run_that_an_action_starts() -> None:
    by = {"correlation-id": RUN, "process-id": "p1", "node-id": "n0", "user": "alice", "source": "shop"}
    start = Start("sample", "action", by_id=False, body="{}", user="", by=by)
    assert timeless(headers_of(start, node())) == TOPOLOGY | {
        "correlation-id": "56b3b6a2-8897-5968-a907-967cd7be905e",
        "process-id": "d00f5799-42a0-5eb2-8ea5-b4b5b645440e",
        "parent-id": "",
        "previous-correlation-id": RUN,
        "content-type": "application/json",
        "sequence-id": "1",
        "source": "shop",
        "user": "",
    }


def test_a_run_that_a_method_of_an_application_starts() -> None:
    start = Start("sample", "action", by_id=False, body="{}", user="alice", by={})
    headers = timeless(headers_of(start, node()))
    ids = [headers.pop("correlation-id"), headers.pop("process-id")]
    assert ids[0] != timeless(headers_of(start, node()))["correlation-id"]
    own = {"parent-id": "", "content-type": "application/json", "sequence-id": "1", "user": "alice"}
    assert headers == TOPOLOGY | own


def test_a_run_that_a_webhook_starts() -> None:
    webhook = Webhook("w1", "alice", "shop", "order", "t1", "n1", "{}", "", "", is_unsubscribe_failed=False, created=1)
    sent = {"content-type": "text/plain", "cookie": "x", "x-shop": "brno"}
    headers, body = start_message(node(), webhook, WebhookCall("POST", "http://x/y?a=b", sent, b"hi", 1.0), "w1\x1fd1")
    assert body == "hi"
    assert timeless(headers) == TOPOLOGY | {
        "correlation-id": "306db9f1-12e4-580e-a8d8-b6e024e22e59",
        "process-id": "e95ae555-df6c-5b14-bf03-2152ba9621d6",
        "parent-id": "",
        "content-type": "text/plain",
        "user": "alice",
        "webhook-application": "shop",
        "webhook-name": "order",
        "webhook-headers": json.dumps({"content-type": "text/plain", "x-shop": "brno"}),
        "webhook-query": "a=b",
    }


def test_a_run_that_another_run_starts_by_its_end() -> None:
    ended = Run("run", "t1", "sample", "alice", RunState.FINISHED, 1000, 2000, 1, 1, 0, 0)
    sent = decode(notice_message(ended), 10_000)
    assert (json.loads(sent.body)["correlationId"], json.loads(sent.body)["state"]) == ("run", "finished")
    assert timeless(sent.headers or {}) == {
        "correlation-id": "098d4a7d-c22c-5580-8100-2967c5ced53c",
        "process-id": "22bf328c-8b9e-55ed-a09a-5de96dfdcd98",
        "parent-id": "",
        "previous-correlation-id": "run",
        "content-type": "application/json",
        "user": "alice",
    }
