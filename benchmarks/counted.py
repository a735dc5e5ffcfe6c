"""What process state costs: CPU time and rate of nodes whose messages are counted, beside the same uncounted."""

from dataclasses import replace

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.contestants import RELAY, standalone
from benchmarks.relay import measure_command, median_cost, median_rate
from benchmarks.rig import Figures, Setup, channel_to, declare, fill, service

ACTIONS = {"nodes that only pass on": RELAY, "connectors whose service answers at once": "/connector/slow/action"}

Way = tuple[str, bool]
"""The action, and whether its messages are counted."""


async def measure_all(setup: Setup, runs: int) -> dict[Way, list[Figures]]:
    """Measure each way this often, in turn."""
    ways = [(action, is_counted) for action in ACTIONS for is_counted in (False, True)]
    found: dict[Way, list[Figures]] = {way: [] for way in ways}
    async with service(0) as url:
        with Progress(transient=True, console=Console(stderr=True)) as progress:
            bar = progress.add_task("measuring", total=runs * len(ways))
            for _ in range(runs):
                for action, is_counted in ways:
                    async with channel_to(setup.amqp_url) as channel:
                        await declare(channel, setup)
                        await fill(channel, setup)
                    command = standalone(ACTIONS[action], is_counted=is_counted)(setup)
                    command = replace(command, environment={**command.environment, "SLOW_URL": url})
                    found[action, is_counted].append(await measure_command(setup, command))
                    progress.advance(bar)
    return found


def table(found: dict[Way, list[Figures]]) -> Table:
    """Return the medians as a table; ratios are to the same uncounted."""
    shown = Table(title="Two nodes, every message counted in SQLite")
    for column in ("", "counted", "messages/s", "ratio", "CPU ms per message", "ratio"):
        shown.add_column(column, justify="right" if column else "left")
    for (action, is_counted), figures in found.items():
        rate, cost = median_rate(figures), median_cost(figures)
        base = found[action, False]
        shown.add_row(
            "" if is_counted else action,
            "yes" if is_counted else "no",
            f"{rate:.0f}",
            f"{rate / median_rate(base):.2f}",
            f"{cost:.3f}",
            f"{cost / median_cost(base):.2f}",
        )
    return shown
