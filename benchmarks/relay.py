"""Relay throughput and CPU time per message: our worker beside what one would write with aio-pika.

The work is the same for all: take a message from a quorum queue, publish one to the next node's exchange and one to
the counter, both persistent, mandatory and confirmed, then acknowledge. Each contestant runs in a process of its
own on the same broker, one after the other, several times over. Rates differ from machine to machine and from
minute to minute; read the ratios.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.broker import provide_broker

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "var" / "bench.json"
NODE, SINK, COUNTER = "bench-relay", "bench-sink", "pipes.multi-counter"
QUORUM = {"x-queue-type": "quorum"}
SHARES = (0.1, 0.9)
"""The part of the messages that is measured; starting up and running dry are left out."""


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to measure."""

    amqp_url: str
    messages: int
    body_bytes: int
    prefetch: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave."""

    per_second: float
    cpu_ms: float
    """CPU time of the contestant's process for each message."""


def main() -> None:
    """Measure and print."""
    options = _options()
    with provide_broker(announce=lambda text: print(text, file=sys.stderr)) as broker:
        setup = Setup(broker.url, options.messages, options.size, options.prefetch)
        figures = asyncio.run(_measure_all(setup, options.runs))
    _print(figures)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(_as_json(setup, figures), indent=1) + "\n")
    print(f"Written to {RESULT.relative_to(ROOT)}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000, help="messages of each run (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each contestant (default: %(default)s)")
    parser.add_argument("--size", type=int, default=300, help="bytes of each body (default: %(default)s)")
    parser.add_argument("--prefetch", type=int, default=50, help="messages in flight (default: %(default)s)")
    return parser.parse_args()


def _ours(setup: Setup) -> tuple[list[str], dict[str, str]]:
    topology = ROOT / "var" / "bench-topology.json"
    topology.parent.mkdir(exist_ok=True)
    settings = {"actionPath": "/custom-node/relay/process", "rabbitPrefetch": setup.prefetch}
    followers = [{"id": SINK, "name": SINK}]
    node = {"id": NODE, "name": NODE, "worker": "worker.custom_node", "settings": settings, "followers": followers}
    sink = {"id": SINK, "name": SINK, "worker": "worker.null"}
    topology.write_text(json.dumps({"id": "bench", "name": "bench", "nodes": [node, sink]}))
    environment = {
        "TOPOLOGY_JSON": str(topology),
        "WORKER_MODE": "platform",
        "WORKER_NODES": NODE,
        "WORKER_HTTP_PORT": "0",
        "WORKER_AMQP_URL": setup.amqp_url,
        "WORKER_ACTIONS": "benchmarks.actions",
        "WORKER_TRASH_URL": "sqlite:///var/bench-trash.sqlite",
    }
    return [sys.executable, "-m", "worker", "run"], environment


def _aio_pika(setup: Setup) -> tuple[list[str], dict[str, str]]:
    arguments = [setup.amqp_url, f"node.{NODE}.1", f"node.{SINK}.hx", COUNTER, str(setup.prefetch)]
    return [sys.executable, "-m", "benchmarks.plain_aio_pika", *arguments], {}


CONTESTANTS: dict[str, Callable[[Setup], tuple[list[str], dict[str, str]]]] = {
    "orchesty-worker": _ours,
    "aio-pika": _aio_pika,
}


async def _measure_all(setup: Setup, runs: int) -> dict[str, list[Figures]]:
    figures: dict[str, list[Figures]] = {name: [] for name in CONTESTANTS}
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        bar = progress.add_task("measuring", total=runs * len(CONTESTANTS))
        for _ in range(runs):
            for name, contestant in CONTESTANTS.items():
                figures[name].append(await _measure(setup, *contestant(setup)))
                progress.advance(bar)
    return figures


async def _measure(setup: Setup, command: list[str], environment: dict[str, str]) -> Figures:
    async with await aio_pika.connect(setup.amqp_url) as connection:
        channel = await connection.channel()
        await _fill(channel, setup)
        async with _running(command, environment) as process_id:
            first, last = (int(share * setup.messages) for share in SHARES)
            started, cpu_started, done_before = await _when(channel, first, process_id)
            ended, cpu_ended, done = await _when(channel, last, process_id)
    count = done - done_before
    return Figures(count / (ended - started), (cpu_ended - cpu_started) / count * 1000)


async def _fill(channel: aio_pika.abc.AbstractChannel, setup: Setup) -> None:
    for node in (NODE, SINK):
        exchange = await channel.declare_exchange(
            f"node.{node}.hx", aio_pika.ExchangeType.X_CONSISTENT_HASH, durable=True
        )
        queue = await channel.declare_queue(f"node.{node}.1", durable=True, arguments=QUORUM)
        await queue.bind(exchange, "1")
        await queue.purge()
    counter = await channel.declare_queue(COUNTER, durable=True, arguments=QUORUM)
    await counter.purge()
    start = await channel.get_exchange(f"node.{NODE}.hx")
    for batch in range(0, setup.messages, 500):
        numbers = range(batch, min(batch + 500, setup.messages))
        await asyncio.gather(*(start.publish(_message(number, setup.body_bytes), "1") for number in numbers))


def _message(number: int, body_bytes: int) -> aio_pika.Message:
    headers = {
        "correlation-id": f"00000000-0000-4000-8000-{number:012d}",
        "process-id": f"00000000-0000-4000-9000-{number:012d}",
        "parent-id": "",
        "topology-id": "bench",
        "user": "bench",
        "source": "auto",
        "process-started": 1_700_000_000_000,
    }
    body = json.dumps({"headers": headers, "body": json.dumps({"text": "x" * max(body_bytes - 12, 0)})})
    return aio_pika.Message(
        body.encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers={"published-timestamp": time.time_ns() // 1_000_000},
    )


@asynccontextmanager
async def _running(command: list[str], environment: dict[str, str]) -> AsyncIterator[int]:
    with (ROOT / "var" / "bench.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **environment}, cwd=ROOT, stdout=output, stderr=output
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            await process.wait()


async def _when(channel: aio_pika.abc.AbstractChannel, count: int, process_id: int) -> tuple[float, float, int]:
    """Wait until this many messages have arrived. Return time, CPU time (both seconds) and the exact count."""
    async with asyncio.timeout(300):
        while True:
            sink = await channel.declare_queue(f"node.{SINK}.1", passive=True)
            arrived = sink.declaration_result.message_count or 0
            if arrived >= count:
                return time.perf_counter(), _cpu_seconds(process_id), arrived
            await asyncio.sleep(0.02)


def _cpu_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _print(figures: dict[str, list[Figures]]) -> None:
    table = Table(title="Relay: consume, publish, count, acknowledge", caption="median (minimum to maximum)")
    for column in ("", "messages/s", "ratio", "CPU ms/message", "ratio"):
        table.add_column(column, justify="left" if not column else "right")
    base = figures["aio-pika"]
    for name, runs in figures.items():
        rates, costs = [run.per_second for run in runs], [run.cpu_ms for run in runs]
        table.add_row(
            name,
            _spread(rates, ".0f"),
            f"{statistics.median(rates) / statistics.median(run.per_second for run in base):.2f}",
            _spread(costs, ".3f"),
            f"{statistics.median(costs) / statistics.median(run.cpu_ms for run in base):.2f}",
        )
    Console().print(table)


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _as_json(setup: Setup, figures: dict[str, list[Figures]]) -> dict[str, Any]:
    return {
        "messages": setup.messages,
        "body_bytes": setup.body_bytes,
        "prefetch": setup.prefetch,
        "contestants": {
            name: [{"per_second": round(run.per_second, 1), "cpu_ms": round(run.cpu_ms, 4)} for run in runs]
            for name, runs in figures.items()
        },
    }


if __name__ == "__main__":
    main()
