"""Send odd messages through a worker, and let its actions end oddly and meet odd replies: `make chaos`.

The worker may not end, and each message is somewhere afterwards: at the follower, in the trash, or parked. `--seed`
repeats a run. `--processes 2` sends them through a supervisor's processes, none of which may end either, and
`--unprivileged` through a worker of user nobody on a file system that is read-only (as root).
"""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import aio_pika
import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import Progress
from support.topologies import NodeEntry, TopologyFile, custom_node, pass_on, sink

from benchmarks.rig import ROOT, Command, running
from chaos import exact
from chaos.sending import ODD_NODES, Sent, send
from deploy.broker import provide_broker
from deploy.ports import free_ports
from worker.broker.delays import LOST, tier_queues
from worker.trash.opening import open_trash

PATIENCE_SECONDS = 600
LOOK_SECONDS = 0.5
STEADY_LOOKS = 4
"""Looks in a row at which nothing has changed: the run is over."""

console = Console(stderr=True)


def topology(folder: Path) -> TopologyFile:
    """Return the nodes: those that get odd messages, and those whose actions end oddly."""
    by_key = {"actionPath": "/connector/copy/action", "orderBy": "body:id", "rabbitPrefetch": 20}
    nodes = (
        pass_on("pass", "sink", prefetch=50),
        NodeEntry("ask", ("sink",), "worker.user"),
        NodeEntry("copy", ("sink",), "worker.http", "shop", {"actionPath": "/connector/copy/action"}),
        NodeEntry("ordered", ("sink",), "worker.http", settings=by_key),
        custom_node("odd", "odd", "end", prefetch=20),
        custom_node("thread", "odd-in-thread", "end", prefetch=20),
        sink(),
        sink("end"),
    )
    return TopologyFile(folder, nodes)


async def main(options: argparse.Namespace) -> int:
    """Run it; return the exit status."""
    console.print(f"seed {options.seed}")
    met = await exact.run(options.replies, options.seed)
    console.print(f"[green]right[/] replies of services: {dict(met.outcomes)}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, provide_broker() as broker:
        folder, (port,) = Path(name), free_ports(1)
        nodes = topology(folder)
        connection = await aio_pika.connect(broker.url)
        async with connection, running(_worker(nodes, folder, broker.url, port, options)) as pid:
            channel = await connection.channel()
            await _until_ready(port)
            with Progress(console=console) as progress:
                sent = await send(channel, nodes, random.Random(options.seed), options, progress)
                found = await _until_steady(port, channel, sent, progress)
            os.kill(pid, 0)
            ends = (await _samples(port, "orchesty_worker_restarts")).total()
            parked = await _waiting(channel, [*(queue for queue, _ in tier_queues()), LOST])
            arrived = await _waiting(channel, [nodes.queue("sink")])
        return _judge(sent, found, arrived, parked, await _trashed(folder), ends)


def _worker(nodes: TopologyFile, folder: Path, url: str, port: int, options: argparse.Namespace) -> Command:
    own = {
        "AMQP_URL": url,
        "ACTIONS": "support.odd,support.actions",
        "NODES": ",".join(nodes.consumed),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "PROCESSES": str(options.processes),
        "TRASH_URL": f"sqlite:///{folder}/trash.sqlite",
        "DATABASE_URL": f"sqlite:///{folder}/state.sqlite",
        "TRASH_FLOOD_LIMIT": "0",
    }
    environment = {f"WORKER_{name}": value for name, value in own.items()}
    environment |= {"TOPOLOGY_JSON": str(nodes.path), "PYTHONPATH": str(Path(__file__).parent.parent)}
    words: tuple[str, ...] = (sys.executable, "-m", "worker", "run")
    if options.unprivileged:
        shutil.chown(folder, "nobody")
        words = ("sh", str(ROOT / "deploy" / "unprivileged.sh"), str(folder), *words)
    return Command(words, environment)


async def _until_ready(port: int) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(LOOK_SECONDS)


async def _until_steady(
    port: int, channel: aio_pika.abc.AbstractChannel, sent: Sent, progress: Progress
) -> Counter[tuple[str, ...]]:
    """Return what has become of messages, by node and outcome, when nothing changes any more."""
    bar = progress.add_task("ended", total=sent.total)
    before: Counter[tuple[str, ...]] = Counter()
    steady, end = 0, time.monotonic() + PATIENCE_SECONDS
    while steady < STEADY_LOOKS:
        found = await _outcomes(port)
        is_over = found == before and not await _waiting(channel, sent.queues)
        steady = steady + 1 if is_over else 0
        before = found
        progress.update(bar, completed=_ended(found))
        if time.monotonic() > end:
            raise TimeoutError("messages are left in the queues")
        await asyncio.sleep(LOOK_SECONDS)
    return before


async def _outcomes(port: int) -> Counter[tuple[str, ...]]:
    return await _samples(port, "orchesty_worker_messages", "node", "outcome")


async def _samples(port: int, metric: str, *labels: str) -> Counter[tuple[str, ...]]:
    """Return the samples of a metric that are not 0 by these labels, those of several processes together."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    found: Counter[tuple[str, ...]] = Counter()
    for family in text_string_to_metric_families(text):
        if family.name == metric:
            for sample in family.samples:
                found[tuple(sample.labels[label] for label in labels)] += int(sample.value)
    return +found


async def _waiting(channel: aio_pika.abc.AbstractChannel, queues: Sequence[str]) -> int:
    declared = [await channel.declare_queue(queue, passive=True) for queue in queues]
    return sum(queue.declaration_result.message_count or 0 for queue in declared)


async def _trashed(folder: Path) -> Counter[str]:
    """Return the entries by node, those that were only counted among them."""
    store = open_trash(f"sqlite:///{folder}/trash.sqlite")
    entries = await store.waiting()
    await store.close()
    bugs = Counter((entry.reason or "")[:120] for entry in entries if "a bug of the worker" in (entry.reason or ""))
    for reason, count in bugs.items():
        console.print(f"{count} x {reason}")
    found: Counter[str] = Counter()
    for entry in entries:
        found[entry.node_name] += 1 + entry.more
    return found


def _ended(found: Counter[tuple[str, ...]]) -> int:
    return sum(count for (_, outcome), count in found.items() if outcome not in {"repeated", "limited"})


def _judge(
    sent: Sent, found: Counter[tuple[str, ...]], arrived: int, parked: int, trashed: Counter[str], ends: int
) -> int:
    """Say what is wrong; return the exit status."""
    kept = Counter[str]()
    for (node, outcome), count in found.items():
        kept[node] += count if outcome in {"trashed", "kept"} else 0
    passed = sum(sent.by_node[node] - trashed[node] for node in ODD_NODES)
    rules = {
        f"sent {sent.total} = ended {_ended(found)} + parked {parked}": sent.total == _ended(found) + parked,
        f"kept {dict(kept)} = in the trash {dict(trashed)}": +kept == +trashed,
        f"sent - in the trash {passed} = at the follower {arrived}": passed == arrived,
    }
    rules[f"processes that ended: {ends}"] = not ends
    for rule, is_kept in rules.items():
        console.print(("[green]right[/] " if is_kept else "[red]wrong[/] ") + rule)
    return 0 if all(rules.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="odd messages")
    parser.add_argument("--outcomes", type=int, default=2_000, help="messages whose action ends oddly")
    parser.add_argument("--replies", type=int, default=3_000, help="generated replies of services")
    parser.add_argument("--processes", type=int, default=1, help="worker processes")
    parser.add_argument("--unprivileged", action="store_true", help="run the worker as nobody, on read-only files")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(_options())))
