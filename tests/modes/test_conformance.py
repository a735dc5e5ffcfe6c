"""The worker does on the wire what the platform's own worker was recorded to do.

`conformance/README.md` says what the recordings are and how they are compared.
"""

import fnmatch
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import pytest
from support.queues import Queues
from support.replay import NOW, Replay, Traffic, parsed

RECORDINGS = sorted((Path(__file__).parent.parent / "conformance").glob("*.json"))
PROCESS_ID = "11111111-1111-4111-8111-111111111111"
READ_BY_THE_COUNTER = (
    *("correlation-id", "process-id", "parent-id", "topology-id", "user", "system-event", "source"),
    *("process-started", "audit-entity-ids", "applications"),
)
READ_FROM_THE_TRASH = (
    *("nodeId", "nodeName", "topologyId", "topologyName", "correlationId", "user", "type"),
    *("returnExchange", "returnRoutingKey", "message"),
)
ONLY_THE_FORM = {"event_id", "occurred_at", "trash_id", "trashId", "timestampMs"}


def counted_headers_survive(recording: Traffic) -> None:
    known, _ = consumed(recording)
    for message in recording["counter"]:
        message["body"]["headers"] = known | message["body"]["headers"]


def limiter_sees_the_consumed_time(recording: Traffic) -> None:
    for message in recording["published"]:
        if message["routing_key"] == "pipes.limiter":
            message["headers"] = recording["input"][0]["headers"]


def missing_limiter_key_is_empty(recording: Traffic) -> None:
    for call in recording["extra"]:
        call["response_raw"] = call["response_raw"].replace(r"\u003cnil\u003e", "")


def unreadable_message_is_kept(recording: Traffic) -> None:
    message = {"body": recording["input"][0]["body_raw"], "headers": {"result-message": ANY}}
    kept = {"type": "trash", "correlationId": "", "user": None, "message": message}
    recording["mongo"] = [{"document": place(recording) | kept}]


def headers_survive_a_reply_that_is_no_message(recording: Traffic) -> None:
    headers, _ = consumed(recording)
    at, run, process = place(recording), headers["correlation-id"], headers["process-id"]
    whose = {"topologyId": at["topologyId"], "correlationId": run, "user": headers["user"]}
    [trashed], [event], [call] = (recording[kind] for kind in ("mongo", "events", "starting_point_requests"))
    trashed["document"] |= at | whose
    trashed["document"]["message"]["headers"] |= headers
    event["body"]["topology"]["id"] = at["topologyId"]
    event["body"]["node"] = {"id": at["nodeId"], "name": at["nodeName"]}
    event["body"]["context"] |= {"correlation_id": run, "process_id": process}
    call["body"]["data"] |= whose | {"processId": process}


# Where our worker differs on purpose: recordings, the reason, and what changes them into what is expected instead.
DEVIATIONS: tuple[tuple[str, str, Callable[[Traffic], None]], ...] = (
    ("*", "the counter cannot count without the headers that a reply left out", counted_headers_survive),
    ("limiter-*", "the same time as in a repeat; the limiter takes either", limiter_sees_the_consumed_time),
    ("api-process", "without a limiter-key the recorded worker answers '<nil>'", missing_limiter_key_is_empty),
    ("crash-*", "the recorded worker crashes, and the message is nowhere to be seen", unreadable_message_is_kept),
    (
        "trash-200-not-json",
        "the recorded worker loses all headers: nobody can tell whose message is in the trash",
        headers_survive_a_reply_that_is_no_message,
    ),
)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
async def test_the_worker_does_what_was_recorded(path: Path, queues: Queues, broker_url: str, tmp_path: Path) -> None:
    replay = Replay(path, queues)
    expected = expectation(path.stem, replay.recording)

    await replay.run(broker_url, tmp_path, expected)

    assert comparable(replay.heard) == comparable(expected)
    assert replay.left_in_queue == 0


def test_every_deviation_has_a_recording() -> None:
    names = [path.stem for path in RECORDINGS]
    assert all(fnmatch.filter(names, pattern) for pattern, _, _ in DEVIATIONS)


def expectation(name: str, recording: Traffic) -> Traffic:
    """Return what is to be heard of the first node, which alone is consumed, in the form of the recording."""
    expected: Traffic = json.loads(json.dumps(recording))
    at = place(recording)
    expected["published"] = [sent for sent in expected["published"] if sent["exchange"] != at["returnExchange"]]
    reports = expected["counter"]
    expected["counter"] = [one for one in reports if one["body"]["headers"].get("node-id") in {None, at["nodeId"]}]
    for pattern, _, change in DEVIATIONS:
        if fnmatch.fnmatchcase(name, pattern):
            change(expected)
    for call in expected.setdefault("extra", []):
        call["body"] = parsed(call["response_raw"])
    _, times = consumed(recording)
    for message in expected["published"] + expected["counter"]:
        message["properties"]["delivery_mode"] = 2
        if message["headers"]["published-timestamp"] not in times:
            message["headers"]["published-timestamp"] = NOW
    return expected


def consumed(recording: Traffic) -> tuple[dict[str, Any], set[int]]:
    """Return the headers of the message as its node has consumed it, and the times that it may carry."""
    calls = [call["request"] for call in recording.get("extra", ())]
    times = {message["headers"]["published-timestamp"] for message in recording["input"]}
    message, *_ = [*(parsed(message["body_raw"]) for message in recording["input"]), *calls]
    sent = message.get("headers", {}) if isinstance(message, dict) else {}
    at, followers = place(recording), json.dumps(recording["topology"]["nodes"][0]["followers"])
    stamp = {"node-id": at["nodeId"], "node-name": at["nodeName"], "topology-id": at["topologyId"]}
    return {**sent, **stamp, "worker-followers": followers}, times | {call["published"] for call in calls}


def place(recording: Traffic) -> dict[str, str]:
    """Return where the message is consumed, in the words of the trash."""
    topology, node = recording["topology"], recording["topology"]["nodes"][0]
    names = {"topologyName": topology["name"], "nodeName": node["name"]}
    way_back = {"returnExchange": f"node.{node['id']}.hx", "returnRoutingKey": "1"}
    return {"topologyId": topology["id"], "nodeId": node["id"], **names, **way_back}


def comparable(traffic: Traffic) -> dict[str, Any]:
    """Return what is compared, each value under the place where it stands."""
    compared = {
        "queues": by_queue(traffic["published"]),
        "reports": [report(message) for message in traffic["counter"]],
        "requests": pick(traffic["worker_request"], "method", "path", "body"),
        "trash": pick((entry["document"] for entry in traffic["mongo"]), *READ_FROM_THE_TRASH),
        "events": pick(traffic["events"], "exchange", "routing_key", "body"),
        "status calls": traffic["starting_point_requests"],
        "answers": pick(traffic["extra"], "status", "body"),
    }
    return dict(leaves(compared))


def by_queue(messages: Iterable[Traffic]) -> Mapping[str, list[Traffic]]:
    """Return the messages of each queue in order; new process ids that are UUIDs of their own look the same."""
    queues: dict[str, list[Traffic]] = {}
    taken = {None, PROCESS_ID}
    for message in messages:
        headers = message["body"]["headers"]
        own_id = headers.get("process-id")
        if own_id not in taken and str(UUID(own_id)) == own_id:
            taken.add(own_id)
            headers = headers | {"process-id": "new"}
        queue = queues.setdefault(f"{message['exchange']} {message['routing_key']}", [])
        queue.append(message | {"body": message["body"] | {"headers": headers}})
    return queues


def report(message: Traffic) -> Traffic:
    headers, verdict = message["body"]["headers"], parsed(message["body"]["body"])
    read = {name: headers[name] for name in READ_BY_THE_COUNTER if name in headers}
    said = {name: verdict[name] for name in ("success", "following")}
    return message | {"body": message["body"] | {"headers": read, "body": said}}


def pick(items: Iterable[Traffic], *keys: str) -> list[Traffic]:
    return [{key: item[key] for key in keys} for item in items]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value in the form in which it is compared: 1001 is "1001", and a JSON text is what it says."""
    if isinstance(value, str) and isinstance(content := parsed(value), dict | list):
        path, value = f"{path} as JSON", content
    match value:
        case dict() if value:
            for key, item in value.items():
                yield from leaves(form(item) if key in ONLY_THE_FORM else item, f"{path}/{key}")
        case list() if value:
            for index, item in enumerate(value):
                yield from leaves(item, f"{path}/{index}")
        case bool():
            yield path, str(value).lower()
        case int() | float():
            yield path, str(value).removesuffix(".0")
        case _:
            yield path, value


def form(value: str | int) -> str:
    """Return what kind of id or time it is."""
    return f"{type(value).__name__}{'' if value else ', empty'}"
