"""What limits cost that are never reached: CPU time of the worker for each message, beside no limits at all."""

from dataclasses import replace

from rich.progress import Progress
from rich.table import Table

from benchmarks.contestants import ours
from benchmarks.relay import measure_command, median_cost, median_rate
from benchmarks.rig import Command, Figures, Setup, channel_to, declare, fill

WAYS = ("no limits", "limits in the process", "limits in Redis")

Costs = dict[str, list[Figures]]


async def measure_costs(amqp_url: str, redis_url: str, messages: int, runs: int, progress: Progress) -> Costs:
    """Measure each way this often, in turn."""
    setup, costs = Setup(amqp_url, messages=messages), Costs({way: [] for way in WAYS})
    bar = progress.add_task("cost", total=runs * len(WAYS))
    for _ in range(runs):
        for way in WAYS:
            async with channel_to(setup.amqp_url) as channel:
                await declare(channel, setup)
                await fill(channel, setup)
            costs[way].append(await measure_command(setup, _worker(setup, way, redis_url)))
            progress.advance(bar)
    return costs


def _worker(setup: Setup, way: str, redis_url: str) -> Command:
    action = "free" if way == WAYS[0] else "vast"
    command = ours(setup, f"/connector/{action}/action", application=action)
    own = {"WORKER_MODE": "standalone", "WORKER_LOG_LEVEL": "warning"}
    if way == WAYS[2]:
        own["WORKER_REDIS_URL"] = redis_url
    return replace(command, environment={**command.environment, **own})


def cost_table(costs: Costs) -> Table:
    """Return the results as a table."""
    shown = Table(title="A limit of each user and one of all, never reached")
    for column in ("", "messages/s", "CPU ms per message", "added"):
        shown.add_column(column, justify="right" if column else "left")
    base = median_cost(costs[WAYS[0]])
    for way, runs in costs.items():
        cost = median_cost(runs)
        added = "" if way == WAYS[0] else f"{cost - base:+.3f}"
        shown.add_row(way, f"{median_rate(runs):.0f}", f"{cost:.3f}", added)
    return shown
