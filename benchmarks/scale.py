"""Cost against size: bodies, prefetch, nodes of the topology, followers, items of a batch."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import aio_pika
from rich.table import Table

from benchmarks.contestants import ours
from benchmarks.relay import measure_command
from benchmarks.rig import Figures, Setup, channel_to, cpu_seconds, declare, fill, running, until, until_consumed

ONE_NODE = ("bench-1", "bench-sink")
BODIES = {1_000: 8_000, 10_000: 5_000, 100_000: 1_000, 1_000_000: 150}
"""Bytes of a body, and how many messages."""
PREFETCHES = (1, 10, 50, 500)
NODES = (1, 10, 100, 1_000)
FOLLOWERS = (1, 2, 3, 5)
BATCH_ITEMS = 10_000

Row = tuple[str, str, Figures]


async def measure_all(setup: Setup) -> AsyncIterator[Row]:
    """Measure each size once."""
    base = replace(setup, nodes=ONE_NODE)
    for size, count in BODIES.items():
        yield "body", f"{size:,} bytes", await _relay(replace(base, body_bytes=size, messages=count))
    for prefetch in PREFETCHES:
        yield "prefetch", str(prefetch), await _relay(replace(base, prefetch=prefetch, messages=4_000))
    for count in NODES:
        yield "nodes", f"{count:,}", await _relay(replace(base, messages=4_000), idle_nodes=count - 1)
    for count in FOLLOWERS:
        yield "followers", str(count), await _relay(replace(base, messages=4_000), followers=count)
    yield "batch", f"{BATCH_ITEMS:,} items", await _batch(base)


async def _relay(setup: Setup, *, idle_nodes: int = 0, followers: int = 1) -> Figures:
    async with channel_to(setup.amqp_url) as channel:
        await declare(channel, setup)
        await fill(channel, setup)
    return await measure_command(setup, ours(setup, idle_nodes=idle_nodes, extra_followers=followers - 1))


async def _batch(setup: Setup) -> Figures:
    async with channel_to(setup.amqp_url) as channel:
        await declare(channel, setup)
        async with running(ours(setup, "/batch/split/action")) as process_id:
            await until_consumed(channel, setup)
            start = await channel.get_exchange(f"node.{setup.nodes[0]}.hx")
            started, cpu_started = time.perf_counter(), cpu_seconds(process_id)
            body = json.dumps({"headers": {}, "body": json.dumps({"items": BATCH_ITEMS})})
            await start.publish(aio_pika.Message(body.encode()), "1")
            await until(channel, setup.sink, BATCH_ITEMS)
            seconds, cpu = time.perf_counter() - started, cpu_seconds(process_id) - cpu_started
    return Figures(BATCH_ITEMS / seconds, cpu / BATCH_ITEMS * 1000)


def table(rows: list[Row]) -> Table:
    """Return the figures as a table."""
    shown = Table("", "", title="Cost against size, one node with counter")
    shown.add_column("messages/s", justify="right")
    shown.add_column("CPU ms per message", justify="right")
    for what, size, figures in rows:
        shown.add_row(what, size, f"{figures.per_second:.0f}", f"{figures.cpu_ms:.3f}")
    return shown
