"""`python -m benchmarks.soak`: does the memory of a worker that counts runs stay the same, however many messages?

Each message is a run of its own, at two nodes, with process state in SQLite. The slope is that of the second half: in
the first one caches fill up, SQLite's pages above all (up to 32 MB for each connection).
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import linear_regression

from aio_pika.abc import AbstractChannel
from rich.console import Console
from rich.table import Table

from benchmarks.contestants import standalone
from benchmarks.rig import FILL_TOGETHER, VAR, Setup, channel_to, declare, process_message, resident_megabytes, running
from deploy.broker import provide_broker

SAMPLES = 40
AHEAD = 5_000
"""Messages that wait for the worker."""
STALL_SECONDS = 300
LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """What the worker held after so many messages."""

    messages: int
    megabytes: float


async def soak(setup: Setup) -> list[Sample]:
    """Send the messages, and look at the worker's memory as they arrive at the end."""
    async with channel_to(setup.amqp_url) as channel:
        await declare(channel, setup)
        async with running(standalone(is_counted=True)(setup)) as process_id:
            every = setup.messages / SAMPLES
            samples: list[Sample] = []
            async for arrived in _arriving(channel, setup):
                if arrived >= (len(samples) + 1) * every:
                    samples.append(Sample(arrived, resident_megabytes(process_id)))
        await declare(channel, setup)
    return samples


async def _arriving(channel: AbstractChannel, setup: Setup) -> AsyncIterator[int]:
    """Keep the first queue filled and the last one empty; yield how many have arrived."""
    start = await channel.get_exchange(f"node.{setup.nodes[0]}.hx")
    sink = await channel.get_queue(setup.sink)
    sent = arrived = 0
    moved = time.monotonic()
    while arrived < setup.messages:
        while sent < min(arrived + AHEAD, setup.messages):
            numbers = range(sent, min(sent + FILL_TOGETHER, setup.messages))
            await asyncio.gather(*(start.publish(process_message(number, setup.body_bytes), "1") for number in numbers))
            sent = numbers.stop
        purged = (await sink.purge()).message_count or 0
        moved = time.monotonic() if purged else moved
        if time.monotonic() - moved > STALL_SECONDS:
            raise TimeoutError(f"nothing has arrived for {STALL_SECONDS} s, after {arrived} messages")
        arrived += purged
        yield arrived
        await asyncio.sleep(LOOK_SECONDS)


def slope(samples: Sequence[Sample]) -> float:
    """Return how much the memory grew in the second half, MB per 100,000 messages."""
    half = samples[len(samples) // 2 :]
    return linear_regression([sample.messages / 100_000 for sample in half], [one.megabytes for one in half]).slope


def table(samples: Sequence[Sample]) -> Table:
    """Return every fourth sample as a table."""
    shown = Table("messages", "memory", title="Memory of a worker that counts runs")
    for sample in samples[3::4]:
        shown.add_row(f"{sample.messages:,}", f"{sample.megabytes:.1f} MB")
    shown.add_row("growth in the second half", f"{slope(samples):+.2f} MB per 100,000 messages")
    return shown


def main() -> None:
    """Measure, print, and write `var/soak.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000, help="how many (%(default)s)")
    options = parser.parse_args()
    with provide_broker(announce=lambda text: print(text, file=sys.stderr)) as broker:
        setup = replace(Setup(broker.url), messages=options.messages, nodes=("soak-1", "soak-2", "soak-sink"))
        samples = asyncio.run(soak(setup))
    Console().print(table(samples))
    (VAR / "soak.json").write_text(json.dumps([asdict(sample) for sample in samples], indent=1) + "\n")


if __name__ == "__main__":
    main()
