"""What Prometheus reads, read back by Prometheus' own parser."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from prometheus_client.parser import text_string_to_metric_families
from support.actions import Copy, CopyConnector, RepeatOnce
from support.proxy import Proxy
from support.queues import Queues, process_message
from support.topologies import NodeEntry, connector, custom_node, pass_on, sink
from support.waiting import eventually

from connectors import Connector, Message, Trash
from deploy.ports import free_ports
from worker.broker.delays import tier_queues
from worker.prometheus import Family, Histogram, merge, render

ALERTS = Path(__file__).resolve().parent.parent.parent / "docs" / "alerts.md"
OF_THE_SUPERVISOR = {"orchesty_worker_up", "orchesty_worker_restarts_total"}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Refuse(Connector[Any, Any]):
    """Sends every message to the trash."""

    name = "refuse"

    async def process(self, message: Message[Any]) -> Message[Any]:
        raise Trash("no stock")


def samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in {"counter", "gauge", "histogram"}
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"orchesty_worker_{name}", frozenset(labels.items())))


def test_a_histogram_counts_up() -> None:
    histogram = Histogram((0.1, 1))
    for seconds in (0.05, 0.1, 0.5, 7):
        histogram.observe(seconds)
    found = samples(render([Family("x_seconds", "histogram", "Time.", [({"a": "b"}, histogram)])]))
    buckets = {dict(labels)["le"]: count for (name, labels), count in found.items() if name == "x_seconds_bucket"}
    assert {float(bound): count for bound, count in buckets.items()} == {0.1: 2, 1: 3, math.inf: 4}
    assert math.isclose(found["x_seconds_sum", frozenset({("a", "b")})], 7.65)


@pytest.mark.parametrize("label", ['quo"ted', "back\\slash", "two\nlines", "{brace} 1", "ě"])
def test_labels_may_hold_anything(label: str) -> None:
    found = samples(render([Family("x_total", "counter", 'a "help"\nof \\ two', [({"node": label}, 1)])]))
    assert found == {("x_total", frozenset({("node", label)})): 1}


def test_the_texts_of_several_processes_become_one() -> None:
    def text(count: int) -> str:
        return render(
            [
                Family("a_total", "counter", "A.", [({"node": "{x} y"}, count)]),
                Family("b", "gauge", "B.", [({}, count)]),
            ]
        )

    found = samples(merge({"1": text(10), "2": text(20), "3": ""}, "worker"))
    assert found == {
        ("a_total", frozenset({("worker", "1"), ("node", "{x} y")})): 10,
        ("a_total", frozenset({("worker", "2"), ("node", "{x} y")})): 20,
        ("b", frozenset({("worker", "1")})): 10,
        ("b", frozenset({("worker", "2")})): 20,
    }


async def test_a_fresh_worker_tells_a_zero_of_everything_that_may_happen_to_a_node(
    make_topology: MakeTopology, run_worker: RunWorker
) -> None:
    """The increase of a series that begins with its first event is 0, and no alert would fire."""
    worker = await run_worker(make_topology(pass_on("start", "end"), pass_on("end")))
    found = samples(await worker.get("/metrics"))
    outcomes = {"done", "duplicate", "done_before", "repeated", "limited", "kept", "trashed", "cancelled"}
    causes = {"silent", "unknown", "cancelled", "channel_closed", "handed_back"}
    for node in ("start", "end"):
        labels = {"topology": "faults", "node": node}
        assert value(found, "messages_received_total", **labels) == 0
        assert {value(found, "messages_total", **labels, outcome=outcome) for outcome in outcomes} == {0}
        assert {value(found, "consumer_restarts_total", **labels, cause=cause) for cause in causes} == {0}


async def test_messages_are_counted_by_topology_node_and_outcome(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(
        pass_on("start", "copy"),
        custom_node("copy", "copy", "again"),
        custom_node("again", "repeat-once", "refuse"),
        connector("refuse", "refuse"),
        NodeEntry("ask", (), "worker.user"),
    )
    worker = await run_worker(topology, Copy(), RepeatOnce(), Refuse(), silence_seconds=0.2)
    await queues.publish(topology.exchange("start"), process_message({"seconds": 1}))
    await queues.publish(topology.exchange("ask"), process_message("x"))

    async def is_trashed() -> Samples | None:
        found = samples(await worker.get("/metrics"))
        return found if count(found, "messages_total", "refuse", outcome="trashed") == 1 else None

    def count(found: Samples, name: str, node: str, **labels: str) -> float | None:
        return value(found, name, topology="faults", node=node, **labels)

    found = await eventually(is_trashed, what="a trashed message in the metrics")
    assert count(found, "messages_total", "start", outcome="done") == 1
    assert count(found, "messages_total", "again", outcome="repeated") == 1
    assert count(found, "messages_total", "ask", outcome="kept") == 1
    assert count(found, "messages_received_total", "again") == 2
    assert count(found, "messages_in_flight", "again") == 0
    assert count(found, "action_duration_seconds_count", "copy") == 1
    assert count(found, "action_duration_seconds_count", "start") is None
    assert count(found, "message_waiting_seconds_count", "start") == 1
    assert (value(found, "publish_confirm_seconds_count") or 0) >= 4
    assert value(found, "ready") == 1
    assert value(found, "connected", connection="consume") == 1

    async def is_compared() -> bool:
        return count(samples(await worker.get("/metrics")), "queue_consumers", "start") == 1

    await eventually(is_compared, what="the queue's numbers")


async def test_the_queue_of_a_follower_that_nobody_consumes_is_told(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "left-out"), sink("left-out"), sink("not-filled"))
    worker = await run_worker(topology, silence_seconds=0.2)
    await queues.publish(topology.exchange("start"), process_message(1))

    async def is_told() -> bool:
        found = samples(await worker.get("/metrics"))
        labels = {"topology": "faults", "node": "left-out"}
        waiting, consumers = (value(found, name, **labels) for name in ("queue_messages", "queue_consumers"))
        return (waiting, consumers) == (1, 0)

    await eventually(is_told, what="the follower's queue")
    assert 'node="not-filled"' not in await worker.get("/metrics")


async def test_what_is_parked_now_is_told(make_topology: MakeTopology, run_worker: RunWorker, queues: Queues) -> None:
    topology = make_topology(custom_node("again", "repeat-once", "sink"), sink())
    worker = await run_worker(topology, RepeatOnce(), silence_seconds=0.1)

    async def empty_tiers() -> None:
        for queue, _ in tier_queues():
            await queues.purge(queue)

    await empty_tiers()  # of what other tests have left

    async def is_parked(count: int) -> bool:
        return value(samples(await worker.get("/metrics")), "parked_messages") == count

    await queues.publish(topology.exchange("again"), *(process_message({"seconds": 3600}) for _ in range(3)))
    await eventually(lambda: is_parked(3), what="parked messages")
    await empty_tiers()
    await eventually(lambda: is_parked(0), what="nothing parked")


async def test_a_lost_connection_is_counted(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, proxy: Proxy
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await run_worker(topology, amqp_url=proxy.url)
    assert value(samples(worker.worker.metrics()), "reconnects_total", connection="publish") == 0
    proxy.reset()

    def both() -> bool:
        found = samples(worker.worker.metrics())
        return all(value(found, "reconnects_total", connection=name) == 1 for name in ("publish", "consume"))

    await eventually(both, what="both losses")
    await eventually(lambda: worker.is_ready, what="a ready worker")


async def test_a_restarted_consumer_is_counted_with_its_cause(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await run_worker(topology)
    await queues.delete(topology.exchange("start"), topology.queue("start"))

    def restarts() -> float | None:
        found = samples(worker.worker.metrics())
        return value(found, "consumer_restarts_total", topology="faults", node="start", cause="cancelled")

    await eventually(lambda: restarts() == 1, what="the restart")


async def test_nodes_of_the_same_name_stay_apart(make_topology: MakeTopology, run_worker: RunWorker) -> None:
    topology = make_topology(connector("a", "copy"), connector("b", "copy"))
    content = topology.path.read_text().replace('"name": "b"', '"name": "a"')
    topology.path.write_text(content)
    worker = await run_worker(topology, CopyConnector(), nodes=())
    nodes = {dict(labels).get("node") for _, labels in samples(worker.worker.metrics())} - {None}
    assert nodes == {f"a ({topology.node_id('a')})", f"a ({topology.node_id('b')})"}


async def test_the_page_about_alerts_names_every_metric_and_no_other(
    make_topology: MakeTopology, run_worker: RunWorker
) -> None:
    page, nobody = ALERTS.read_text(), f"mongodb://127.0.0.1:{free_ports(1)[0]}/x?serverSelectionTimeoutMS=50"
    alone = await run_worker(make_topology(pass_on("start")))
    platforms = {"mode": "platform", "mongodb_dsn": nobody, "metrics_dsn": nobody, "backend_url": "http://127.0.0.1:1"}
    in_place = await run_worker(make_topology(pass_on("start")), **platforms)
    text = alone.worker.metrics() + in_place.worker.metrics()
    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) | OF_THE_SUPERVISOR
    assert set(re.findall(r"^\| `(orchesty_worker_\w+)`", page, re.MULTILINE)) == {
        name for name in names if name.startswith("orchesty_worker_")
    }
    (rules,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    used = set(re.findall(r"orchesty_worker_\w+", rules))
    assert {name.removesuffix("_bucket") for name in used} <= names
