"""`python -m benchmarks.processes`: is every process counted exactly, when workers are killed?

Processes with a fan-out of 5, and one in 200 with a batch of 100 items that fan out as well; some messages are
repeated, and some fail. Three workers share the work; two of them are killed on the way. In the end every process has
exactly the totals that its shape gives.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import func, select

from benchmarks.rig import FILL_TOGETHER, ROOT, VAR, Setup, channel_to, declare, delete, length
from deploy.broker import provide_broker
from deploy.databases import PrivatePostgres, installed_postgres
from worker.runs.search import RunSearch, find_runs
from worker.runs.store import RunStore
from worker.runs.tables import runs

WORKERS = 3
KILLED_AT = (0.25, 0.5)
"""The share of ended processes at which a worker is killed."""
BATCH_EVERY = 200
LEAVES = 5
FAN_OUT = 1 + LEAVES
BATCH = 4 + 100 * FAN_OUT
"""Pages, and items that fan out."""
PATIENCE_SECONDS = 1800
LOOK_SECONDS = 0.5

Totals = tuple[int, int, int, str]
"""Messages, failed, open, and the state."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How it went."""

    processes: int
    messages: int
    seconds: float
    wrong: Mapping[int, Totals]
    """Processes whose totals are not what their shape gives, by number."""
    missing: int
    killed: int


class Shape:
    """The topology, with ids of its own."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self._token = uuid4().hex[:8]
        self.path = directory / f"processes-{self._token}.json"
        leaves = [f"leaf-{number}" for number in range(LEAVES)]
        nodes = [
            self._node("start", "worker.null", "", leaves),
            self._node("batch", "worker.batch", "/batch/hundred/action", ["item"]),
            self._node("item", "worker.null", "", leaves),
            *(self._node(leaf, "worker.custom_node", "/custom-node/leaf/process", []) for leaf in leaves),
        ]
        self.ids = [str(node["id"]) for node in nodes]
        self.path.write_text(json.dumps({"id": f"processes-{self._token}", "name": "processes", "nodes": nodes}))

    def _node(self, name: str, role: str, action: str, followers: Sequence[str]) -> dict[str, Any]:
        return {
            "id": f"{name}-{self._token}",
            "name": name,
            "worker": role,
            "settings": {"actionPath": action, "rabbitPrefetch": 50},
            "followers": [{"id": f"{follower}-{self._token}", "name": follower} for follower in followers],
        }

    def first_node(self, number: int) -> str:
        """Return the exchange where this process starts."""
        return f"node.{'start' if number % BATCH_EVERY else 'batch'}-{self._token}.hx"


def expected(number: int) -> Totals:
    """Return the totals that a process must have."""
    is_batch = number % BATCH_EVERY == 0
    failed = LEAVES if number % 100 == 3 else 0
    return BATCH if is_batch else FAN_OUT, failed, 0, "failed" if failed else "finished"


async def prove(amqp_url: str, database_url: str, processes: int, progress: Progress) -> Proof:
    """Run the processes, kill two workers, and compare every process with its shape."""
    VAR.mkdir(exist_ok=True)
    shape = Shape(VAR)
    setup = Setup(amqp_url, nodes=tuple(shape.ids), counter=f"{shape.ids[0]}-counter")
    started = time.perf_counter()
    with closing(RunStore(database_url)) as store:
        async with channel_to(amqp_url) as channel:
            await declare(channel, setup)
            async with AsyncExitStack() as stack:
                environment = _environment(shape, amqp_url, database_url)
                workers = [await stack.enter_async_context(_Worker(environment)) for _ in range(WORKERS)]
                await _start(channel, shape, processes)
                killed = await _until_ended(store, processes, workers, progress)
                seconds = time.perf_counter() - started
                await _until_empty(channel, shape)
            await delete(channel, setup)
        found = {run.correlation_id: run for run in find_runs(store, RunSearch())}
    shape.path.unlink()
    totals = {int(own): (run.total, run.failed, run.open, run.state.value) for own, run in found.items()}
    wrong = {number: seen for number, seen in totals.items() if seen != expected(number)}
    messages = sum(run.total for run in found.values())
    return Proof(processes, messages, seconds, wrong, processes - len(totals), killed)


class _Worker:
    """A worker in a process of its own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    async def __aenter__(self) -> Self:
        with (VAR / "bench.log").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "worker", "run"), env=self._environment, cwd=ROOT, stdout=output, stderr=output
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    def kill(self) -> None:
        """Kill it, so that it can finish nothing."""
        self._process.send_signal(signal.SIGKILL)


def _environment(shape: Shape, amqp_url: str, database_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "TOPOLOGY_JSON": str(shape.path),
        "WORKER_AMQP_URL": amqp_url,
        "WORKER_ACTIONS": "benchmarks.actions",
        "WORKER_DATABASE_URL": database_url,
        "WORKER_HTTP_PORT": "0",
        "WORKER_LOG_LEVEL": "warning",
    }


async def _start(channel: AbstractChannel, shape: Shape, processes: int) -> None:
    for first in range(0, processes, FILL_TOGETHER):
        numbers = range(first, min(first + FILL_TOGETHER, processes))
        by_name = {name: await channel.get_exchange(name) for name in {shape.first_node(n) for n in numbers}}
        await asyncio.gather(*(by_name[shape.first_node(n)].publish(_message(n), "1") for n in numbers))


async def _until_empty(channel: AbstractChannel, shape: Shape) -> None:
    """Wait until late duplicates have been taken as well."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for own in shape.ids:
            while await length(channel, f"node.{own}.1"):  # noqa: ASYNC110 - a queue has no event for that
                await asyncio.sleep(LOOK_SECONDS)


def _message(number: int) -> aio_pika.Message:
    headers = {"correlation-id": str(number), "process-id": f"process-{number}", "parent-id": ""}
    body = json.dumps({"headers": headers, "body": json.dumps({"number": number})})
    return aio_pika.Message(
        body.encode(),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers={"published-timestamp": time.time_ns() // 1_000_000},
    )


async def _until_ended(store: RunStore, processes: int, workers: Sequence[_Worker], progress: Progress) -> int:
    """Wait until all processes have ended; kill workers on the way, and return how many."""
    bar = progress.add_task("processes ended", total=processes)
    to_kill = list(zip(KILLED_AT, workers, strict=False))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (ended := await asyncio.to_thread(_ended, store)) < processes:
            progress.update(bar, completed=ended)
            while to_kill and ended >= to_kill[0][0] * processes:
                to_kill.pop(0)[1].kill()
            await asyncio.sleep(LOOK_SECONDS)
    progress.update(bar, completed=ended)
    return len(KILLED_AT) - len(to_kill)


def _ended(store: RunStore) -> int:
    with store.transaction() as connection:
        return connection.execute(select(func.count()).where(runs.c.ended.is_not(None))).scalar_one()


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Make an empty database; yields its URL."""
    VAR.mkdir(exist_ok=True)
    if kind == "sqlite":
        path = VAR / f"processes-{uuid4().hex[:8]}.sqlite"
        try:
            yield f"sqlite:///{path}"
        finally:
            for file in VAR.glob(f"{path.name}*"):
                file.unlink()
    else:
        with closing(PrivatePostgres(installed_postgres(print))) as server:
            server.start()
            yield server.url


def main() -> None:
    """Prove it for the databases that the options name."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--processes", type=int, default=20_000)
    options.add_argument("--database", choices=("sqlite", "postgresql"), nargs="*", default=("sqlite", "postgresql"))
    chosen = options.parse_args()
    is_right = True
    with provide_broker(announce=lambda text: print(text, file=sys.stderr)) as broker:
        for kind in chosen.database:
            with database(kind) as url, Progress(transient=True, console=Console(stderr=True)) as progress:
                proof = asyncio.run(prove(broker.url, url, chosen.processes, progress))
            print(
                f"{kind}: {proof.processes:,} processes, {proof.messages:,} messages in {proof.seconds:.0f} s "
                f"({proof.messages / proof.seconds:.0f}/s), {proof.killed} workers killed; "
                f"wrong: {len(proof.wrong)}, missing: {proof.missing}"
            )
            is_right = is_right and not proof.wrong and not proof.missing
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
