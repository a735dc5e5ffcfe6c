"""Latency at a steady rate, from the publish to the arrival behind one node."""

import asyncio
import statistics
import time

import aio_pika
from rich.table import Table

from benchmarks.contestants import ours
from benchmarks.rig import Setup, channel_to, declare, process_message, running, until_consumed

SECONDS = 30
PER_SECOND = 200


async def measure(setup: Setup) -> list[float]:
    """Return the latency of each message, ms."""
    arrivals: list[float] = []
    async with channel_to(setup.amqp_url) as channel, channel_to(setup.amqp_url) as reading:
        await declare(channel, setup)
        async with running(ours(setup)):
            await until_consumed(channel, setup)
            done = asyncio.Event()
            sink = await reading.get_queue(setup.sink)

            async def arrived(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                number = int(message.body.split(b"8000-")[1][:12])
                arrivals.append((time.perf_counter() - departures[number]) * 1000)
                if len(arrivals) == SECONDS * PER_SECOND:
                    done.set()

            departures: list[float] = []
            await sink.consume(arrived, no_ack=True)
            await _publish_steadily(channel, setup, departures)
            async with asyncio.timeout(60):
                await done.wait()
    return arrivals


async def _publish_steadily(channel: aio_pika.abc.AbstractChannel, setup: Setup, departures: list[float]) -> None:
    start = await channel.get_exchange(f"node.{setup.nodes[0]}.hx")
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(SECONDS * PER_SECOND):
            await asyncio.sleep(max(begun + number / PER_SECOND - time.perf_counter(), 0))
            departures.append(time.perf_counter())
            group.create_task(start.publish(process_message(number, setup.body_bytes), "1"))


def table(latencies: list[float]) -> Table:
    """Return the figures as a table."""
    shown = Table(title=f"Latency at {PER_SECOND} messages/s, one node")
    for column in ("median", "99th percentile", "worst"):
        shown.add_column(column, justify="right")
    shown.add_row(*(f"{value:.1f} ms" for value in figures(latencies).values()))
    return shown


def figures(latencies: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and the worst, ms."""
    return {
        "median_ms": statistics.median(latencies),
        "p99_ms": statistics.quantiles(latencies, n=100)[98],
        "worst_ms": max(latencies),
    }
