"""What all measurements share: a broker with filled queues, a contestant in a process of its own, its CPU time."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var"
QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
FILL_TOGETHER = 500
PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to measure."""

    amqp_url: str
    messages: int = 10_000
    body_bytes: int = 300
    prefetch: int = 50
    nodes: tuple[str, ...] = ("bench-1", "bench-2", "bench-sink")
    """Each passes messages on to the next; the last one's queue is left alone and counted."""

    counter: str = "pipes.multi-counter"

    @property
    def sink(self) -> str:
        """The queue in which all messages end."""
        return f"node.{self.nodes[-1]}.1"


@dataclass(frozen=True, slots=True)
class Command:
    """What starts a contestant."""

    words: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave."""

    per_second: float
    """Messages that went through all nodes."""
    cpu_ms: float
    """CPU time of the contestant for each message and node."""


@asynccontextmanager
async def channel_to(url: str) -> AsyncIterator[AbstractChannel]:
    """Open a channel."""
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


async def declare(channel: AbstractChannel, setup: Setup) -> None:
    """Declare the nodes and the counter, and empty their queues."""
    for node in setup.nodes:
        exchange = await channel.declare_exchange(
            f"node.{node}.hx", aio_pika.ExchangeType.X_CONSISTENT_HASH, durable=True
        )
        queue = await channel.declare_queue(f"node.{node}.1", durable=True, arguments=QUORUM)
        await queue.bind(exchange, "1")
        await queue.purge()
    await (await channel.declare_queue(setup.counter, durable=True, arguments=QUORUM)).purge()


async def delete(channel: AbstractChannel, setup: Setup) -> None:
    """Delete the queues, for a contestant that declares its own."""
    for queue in (*(f"node.{node}.1" for node in setup.nodes), setup.counter):
        await channel.queue_delete(queue)


async def fill(channel: AbstractChannel, setup: Setup) -> None:
    """Put the messages into the first node's queue."""
    start = await channel.get_exchange(f"node.{setup.nodes[0]}.hx")
    for first in range(0, setup.messages, FILL_TOGETHER):
        numbers = range(first, min(first + FILL_TOGETHER, setup.messages))
        await asyncio.gather(*(start.publish(process_message(number, setup.body_bytes), "1") for number in numbers))


def process_message(number: int, body_bytes: int) -> aio_pika.Message:
    """Return a process message with headers as the platform sends them."""
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
async def running(command: Command) -> AsyncIterator[int]:
    """Run a contestant; yields its process id. What it says is in `var/bench.log`."""
    VAR.mkdir(exist_ok=True)
    with (VAR / "bench.log").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command.words, env={**os.environ, **command.environment}, cwd=ROOT, stdout=output, stderr=output
        )
        ended, measuring = asyncio.ensure_future(process.wait()), asyncio.current_task()
        assert measuring is not None, "a coroutine runs in a task"

        def give_up(_: object) -> None:
            measuring.cancel()

        ended.add_done_callback(give_up)
        try:
            yield process.pid
        except asyncio.CancelledError:
            if process.returncode is None:
                raise
            raise RuntimeError(f"a contestant ended by itself with {process.returncode}: see {output.name}") from None
        finally:
            ended.remove_done_callback(give_up)
            if process.returncode is None:
                process.terminate()
            await ended


async def length(channel: AbstractChannel, queue: str) -> int:
    """Count the messages of a queue."""
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def until(channel: AbstractChannel, queue: str, count: int) -> int:
    """Wait until a queue holds this many messages; return how many exactly."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (arrived := await length(channel, queue)) < count:  # noqa: ASYNC110 - a queue has no event for that
            await asyncio.sleep(0.02)
    return arrived


async def until_consumed(channel: AbstractChannel, setup: Setup) -> None:
    """Wait until every node but the last has a consumer."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for node in setup.nodes[:-1]:
            while not await _consumers(channel, f"node.{node}.1"):  # noqa: ASYNC110 - a queue has no event for that
                await asyncio.sleep(0.02)


async def _consumers(channel: AbstractChannel, queue: str) -> int:
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.consumer_count or 0


def cpu_seconds(process_id: int) -> float:
    """Return the CPU time of a process and its children so far."""
    return sum(_cpu_seconds_of_one(member) for member in family(process_id))


def family(process_id: int) -> list[int]:
    """Return a process and those it started, and so on."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return [process_id, *(member for child in children for member in family(int(child)))]


def _cpu_seconds_of_one(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(process_id: int) -> float:
    """Return the memory that a process holds, MB."""
    (line,) = (line for line in Path(f"/proc/{process_id}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@asynccontextmanager
async def service(seconds: float) -> AsyncIterator[str]:
    """Run a service in a process of its own that answers after this time; the context is its URL."""
    words = (sys.executable, "-m", "benchmarks.service", str(seconds))
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}/"
    finally:
        process.terminate()
        await process.communicate()
