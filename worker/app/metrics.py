"""What a worker tells Prometheus: `docs/alerts.md` lists it."""

import os
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from worker.actions.binding import ACTION_ROLES
from worker.broker.consumer import LOST_BY
from worker.broker.intake import Intake
from worker.broker.link import Link
from worker.broker.publisher import Publisher
from worker.pipeline.handler import OUTCOMES
from worker.prometheus import ACTION_SECONDS, WAITING_SECONDS, Family, Histogram, Labels
from worker.protocol.topology import Node, Topology

ARRIVED = "arrived"
PREFIX = "orchesty_worker_"
STARTED = time.time()


class WorkerMetrics:
    """The times of messages at the nodes of one worker, by node id; stages note them (`worker/pipeline/stages.py`)."""

    def __init__(self, topology: Topology, nodes: Sequence[Node]) -> None:
        self.labels = {node.id: _labels(topology, node) for node in topology.nodes}
        self.action_seconds = {node.id: Histogram(ACTION_SECONDS) for node in nodes if node.role in ACTION_ROLES}
        self.waiting_seconds = {node.id: Histogram(WAITING_SECONDS) for node in nodes}


def _labels(topology: Topology, node: Node) -> Labels:
    is_alone = sum(other.name == node.name for other in topology.nodes) == 1
    return {"topology": topology.name, "node": node.name if is_alone else f"{node.name} ({node.id})"}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a worker that are measured."""

    metrics: WorkerMetrics
    counts: Counter[tuple[str, str]]
    intake: Intake
    publisher: Publisher
    links: Sequence[Link]
    is_ready: bool


def families(parts: Parts) -> Iterator[Family]:
    """Return all metrics of a worker.

    What can be counted begins at 0: Prometheus sees no increase in a series that begins with its first event.
    """
    yield from _messages(parts)
    yield from _queues(parts)
    yield from _broker(parts)
    yield from _process(parts)


def _messages(parts: Parts) -> Iterator[Family]:
    labels, counts, nodes = parts.metrics.labels, parts.counts, parts.intake.consumers
    yield _counter(
        "messages_received_total",
        "Messages taken from the queue of a node.",
        [(labels[node], counts[node, ARRIVED]) for node in nodes],
    )
    yield _counter(
        "messages_total",
        "Messages that a node has finished with, by what became of them.",
        [({**labels[node], "outcome": kind}, counts[node, kind]) for node in nodes for kind in OUTCOMES],
    )
    yield _gauge(
        "messages_in_flight",
        "Messages that a node has taken and not acknowledged.",
        [(labels[node], parts.intake.in_work(node)) for node in parts.intake.consumers],
    )
    yield _histogram("action_duration_seconds", "Time an action took.", labels, parts.metrics.action_seconds)
    yield _histogram(
        "message_waiting_seconds",
        "Time from publishing to arrival; that of repeats and limits is included.",
        labels,
        parts.metrics.waiting_seconds,
    )


def _queues(parts: Parts) -> Iterator[Family]:
    labels, intake = parts.metrics.labels, parts.intake
    consumers = intake.consumers.items()
    seen = [(labels[node], state) for node, state in intake.seen.items()]
    yield _gauge(
        "queue_messages",
        "Messages that wait in the queues of a node or a follower, every WORKER_SILENCE_SECONDS.",
        [(label, queue.messages) for label, queue in seen],
    )
    yield _gauge(
        "queue_consumers",
        "Consumers of the queue of a node or a follower, of all workers, every WORKER_SILENCE_SECONDS.",
        [(label, queue.consumers) for label, queue in seen],
    )
    yield _gauge(
        "lost_messages",
        "Messages that came out of a delay when their node was gone, every WORKER_SILENCE_SECONDS.",
        [({}, intake.parked.lost)],
    )
    yield _gauge(
        "parked_messages",
        "Messages that wait in the broker for a repeat or a limit, every WORKER_SILENCE_SECONDS.",
        [({}, intake.parked.waiting)],
    )
    yield _gauge(
        "consuming",
        "1 while the queue of a node is consumed.",
        [(labels[node], consumer.is_consuming) for node, consumer in consumers],
    )
    yield _gauge(
        "standing_by",
        "1 while a node with strict order is consumed by another worker, and this one waits for its turn.",
        [(labels[node], consumer.is_standing_by) for node, consumer in consumers],
    )
    yield _counter(
        "consumer_restarts_total",
        f"Consumers started again, by cause: {', '.join(LOST_BY)}.",
        [
            ({**labels[node], "cause": cause}, intake.restarts[node, cause])
            for node in intake.consumers
            for cause in LOST_BY
        ],
    )


def _broker(parts: Parts) -> Iterator[Family]:
    yield _gauge(
        "connected",
        "1 while connected to the broker.",
        [({"connection": link.name}, link.is_up) for link in parts.links],
    )
    yield _gauge(
        "blocked",
        "1 while the broker takes no messages on a connection: it has a memory or disk alarm.",
        [({"connection": link.name}, bool(link.blocked_for)) for link in parts.links],
    )
    yield _counter(
        "reconnects_total",
        "Connections to the broker that were lost and replaced.",
        [({"connection": link.name}, link.losses) for link in parts.links],
    )
    yield Family(
        f"{PREFIX}publish_confirm_seconds",
        "histogram",
        "Time from publishing a message to the broker's confirm.",
        [({}, parts.publisher.confirm_seconds)],
    )
    yield _counter(
        "publish_refused_total",
        "Rounds in which the broker did not take a message; it is tried again.",
        [({}, parts.publisher.refusals)],
    )
    yield _gauge(
        "refused_exchanges",
        "Exchanges whose messages the broker refuses at the moment.",
        [({}, len(parts.publisher.refused))],
    )


def _process(parts: Parts) -> Iterator[Family]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield _gauge("ready", "1 while every node is consumed and results can be published.", [({}, parts.is_ready)])
    yield _gauge("info", "The version.", [({"version": version("orchesty-worker")}, 1)])
    yield Family(
        "process_cpu_seconds_total", "counter", "CPU time, user and system.", [({}, usage.ru_utime + usage.ru_stime)]
    )
    yield Family("process_resident_memory_bytes", "gauge", "Memory in use.", [({}, _resident_bytes(usage))])
    yield Family("process_start_time_seconds", "gauge", "When the process started.", [({}, STARTED)])


def _resident_bytes(usage: resource.struct_rusage) -> int:
    """The memory now; where the system has no /proc, the most so far."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return usage.ru_maxrss * 1024


def _counter(name: str, text: str, samples: Sequence[tuple[Labels, float]]) -> Family:
    return Family(PREFIX + name, "counter", text, samples)


def _gauge(name: str, text: str, samples: Sequence[tuple[Labels, float]]) -> Family:
    return Family(PREFIX + name, "gauge", text, samples)


def _histogram(name: str, text: str, labels: Mapping[str, Labels], values: Mapping[str, Histogram]) -> Family:
    return Family(PREFIX + name, "histogram", text, [(labels[node], value) for node, value in values.items()])
