"""Throughput of one process and of two under the supervisor, for light and for heavy actions.

A light action only passes messages on: there the broker and the machine's other cores are the limit. A heavy one
computes for some milliseconds: there the worker is, and a second process should nearly double the rate.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.table import Table

from benchmarks.contestants import ours
from benchmarks.relay import measure_command
from benchmarks.rig import Setup, channel_to, declare, fill

ACTIONS: Mapping[str, tuple[str, int]] = {
    "passes on": ("/custom-node/relay/process", 10_000),
    "computes for about 5 ms": ("/custom-node/compute/process", 2_000),
}
"""Path and how many messages."""

PROCESSES = (1, 2)
ONE_NODE = ("bench-1", "bench-sink")

Results = dict[str, dict[int, list[float]]]


async def measure_all(setup: Setup, runs: int) -> Results:
    """Return messages per second by action and number of processes, of several runs in turn."""
    results: Results = {action: {count: [] for count in PROCESSES} for action in ACTIONS}
    for _ in range(runs):
        for action, (path, messages) in ACTIONS.items():
            for count in PROCESSES:
                one = replace(setup, nodes=ONE_NODE, messages=messages)
                results[action][count].append(await _rate(one, path, count))
    return results


async def _rate(setup: Setup, path: str, count: int) -> float:
    async with channel_to(setup.amqp_url) as channel:
        await declare(channel, setup)
        await fill(channel, setup)
    command = ours(setup, path)
    words = [*command.words, "--processes", str(count)]
    return (await measure_command(setup, replace(command, words=words))).per_second


def table(results: Results) -> Table:
    """Return the rates as a table."""
    shown = Table("action", "1 process, messages/s", "2 processes, messages/s", "ratio", title="Several processes")
    for action, rates in results.items():
        one, two = (statistics.median(rates[count]) for count in PROCESSES)
        shown.add_row(action, _text(rates[1]), _text(rates[2]), f"{two / one:.2f}")
    return shown


def _text(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"
