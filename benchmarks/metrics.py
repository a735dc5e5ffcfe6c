"""What metrics cost: CPU time of all that a message's way writes into them, beside the CPU time of a relayed message.

Each call is timed as the message path makes it, with its measuring and without.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from benchmarks.contestants import ours
from benchmarks.relay import measure, median_cost
from benchmarks.rig import Setup
from connectors import Forward, Message
from worker.app.metrics import WorkerMetrics
from worker.pipeline.stages import Timed, Waited, around, decides
from worker.prometheus import ACTION_SECONDS, CONFIRM_SECONDS, Histogram
from worker.protocol.message import Envelope, receive
from worker.protocol.topology import Topology
from worker.protocol.topology_file import load_topology
from worker.protocol.transport import Delivery

TIMES = 200_000
PUBLISHES = 2
"""Of a relayed message: to the next node, and to the counter."""
OURS = "orchesty-worker"


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of one message at one node, in ms."""

    metrics_ms: float
    message_ms: float

    @property
    def share(self) -> float:
        """The part of metrics."""
        return self.metrics_ms / self.message_ms


async def measure_all(setup: Setup, runs: int) -> Cost:
    """Measure both; of the relay the median of so many runs."""
    topology = load_topology(Path(ours(setup).environment["TOPOLOGY_JSON"]))
    metrics_ms = await _metrics_ms(topology)
    return Cost(metrics_ms, median_cost([await measure(setup, OURS) for _ in range(runs)]))


async def _metrics_ms(topology: Topology) -> float:
    node, metrics = topology.nodes[0], WorkerMetrics(topology, topology.nodes)
    visit = receive(node, Envelope("", {}), Delivery(b"", int(time.time() * 1000)))
    end = decides(Forward(Message({}, "")))
    measured = around([Waited(metrics.waiting_seconds[node.id]).stage, Timed(Histogram(ACTION_SECONDS)).stage], end)
    counts: Counter[tuple[str, str]] = Counter()
    confirms = Histogram(CONFIRM_SECONDS)

    async def count() -> None:
        counts[node.id, "arrived"] += 1
        counts[node.id, "done"] += 1
        for _ in range(PUBLISHES):
            sent = time.perf_counter()
            confirms.observe(time.perf_counter() - sent)

    async def nothing() -> None:
        pass

    stages = await _ms(lambda: measured(visit)) - await _ms(lambda: end(visit))
    return stages + await _ms(count) - await _ms(nothing)


async def _ms(step: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU time of one step."""
    started = time.process_time()
    for _ in range(TIMES):
        await step()
    return (time.process_time() - started) * 1000 / TIMES


def table(cost: Cost) -> Table:
    """Return the figures as a table."""
    shown = Table(title="Metrics of one message at one node")
    for column in ("CPU ms of metrics", "CPU ms of the message", "share"):
        shown.add_column(column, justify="right")
    shown.add_row(f"{cost.metrics_ms:.4f}", f"{cost.message_ms:.3f}", f"{cost.share:.1%}")
    return shown
