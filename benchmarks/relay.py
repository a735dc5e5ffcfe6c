"""Relay throughput and CPU time: our worker beside what one would pick instead.

The work is the same for all: at each of two nodes take a message from a quorum queue, publish one to the next node and
one to the counter, both persistent, mandatory and confirmed, then acknowledge. Each contestant runs in a process of its
own on the same broker, in turn, several times over. Rates differ from machine to machine and from minute to minute;
read the ratios.
"""

import statistics
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.contestants import CONTESTANTS, OWN_MESSAGES, setup_for
from benchmarks.rig import Command, Figures, Setup, channel_to, cpu_seconds, declare, delete, fill, running, until

SHARES = (0.1, 0.9)
"""The part of the messages that is measured; starting up and running dry are left out."""

Results = dict[str, list[Figures]]


async def measure_all(setup: Setup, runs: int, names: Sequence[str]) -> Results:
    """Measure each contestant this often, in turn."""
    results: Results = {name: [] for name in names}
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        bar = progress.add_task("measuring", total=runs * len(names))
        for _ in range(runs):
            for name in names:
                progress.update(bar, description=name)
                results[name].append(await measure(setup, name))
                progress.advance(bar)
    return results


async def measure(setup: Setup, name: str) -> Figures:
    """Measure one run of a contestant."""
    setup = setup_for(name, setup)
    async with channel_to(setup.amqp_url) as channel:
        if name in OWN_MESSAGES:
            await delete(channel, setup)
            OWN_MESSAGES[name](setup)
        else:
            await declare(channel, setup)
            await fill(channel, setup)
    return await measure_command(setup, CONTESTANTS[name](setup))


async def measure_command(setup: Setup, command: Command) -> Figures:
    """Measure one run over queues that are filled."""
    async with channel_to(setup.amqp_url) as channel, running(command) as process_id:
        first, last = (int(share * setup.messages) for share in SHARES)
        done_before = await until(channel, setup.sink, first)
        started, cpu_started = time.perf_counter(), cpu_seconds(process_id)
        done = await until(channel, setup.sink, last)
        ended, cpu_ended = time.perf_counter(), cpu_seconds(process_id)
    count = done - done_before
    hops = len(setup.nodes) - 1
    return Figures(count / (ended - started), (cpu_ended - cpu_started) / count / hops * 1000)


def table(results: Results) -> Table:
    """Return the results as a table; ratios are to FastStream where it was measured, else to the last one."""
    base = results.get("FastStream") or list(results.values())[-1]
    base_rate, base_cost = median_rate(base), median_cost(base)
    shown = Table(title="Two nodes with counter", caption="median (minimum to maximum)", caption_justify="left")
    for column in ("", "messages/s", "ratio", "CPU ms per message and node", "ratio"):
        shown.add_column(column, justify="right" if column else "left")
    for name, runs in results.items():
        rate, cost = median_rate(runs), median_cost(runs)
        shown.add_row(
            name,
            f"{rate:.0f} {_spread([run.per_second for run in runs], '.0f')}",
            f"{rate / base_rate:.2f}",
            f"{cost:.3f} {_spread([run.cpu_ms for run in runs], '.3f')}",
            f"{cost / base_cost:.2f}",
        )
    return shown


def median_rate(runs: list[Figures]) -> float:
    """Return the median of messages per second."""
    return statistics.median(run.per_second for run in runs)


def median_cost(runs: list[Figures]) -> float:
    """Return the median of CPU ms per message and node."""
    return statistics.median(run.cpu_ms for run in runs)


def _spread(values: list[float], form: str) -> str:
    return f"({min(values):{form}} to {max(values):{form}})"
