"""Memory over many messages, and how much of the ideal rate a connector holds while its service is slow."""

import time
from dataclasses import replace

from rich.table import Table

from benchmarks.contestants import ours
from benchmarks.rig import Setup, channel_to, declare, fill, resident_megabytes, running, service, until, until_consumed

MEMORY_MESSAGES = 200_000
SLOW_MESSAGES = 5_000
SLOW_SECONDS = 0.2
ONE_NODE = ("bench-1", "bench-sink")


async def memory(setup: Setup) -> dict[str, float]:
    """Return the memory of the worker's process after a tenth, a half and all of many messages, MB."""
    setup = replace(setup, messages=MEMORY_MESSAGES, nodes=ONE_NODE)
    found = {}
    async with channel_to(setup.amqp_url) as channel:
        await declare(channel, setup)
        await fill(channel, setup)
        async with running(ours(setup)) as process_id:
            for share in (0.1, 0.5, 1):
                await until(channel, setup.sink, int(setup.messages * share))
                found[f"{share:.0%}"] = resident_megabytes(process_id)
        await declare(channel, setup)
    return found


async def slow_service(setup: Setup) -> float:
    """Return the share of the ideal rate that is reached: prefetch / the time of one answer."""
    setup = replace(setup, messages=SLOW_MESSAGES, nodes=ONE_NODE)
    async with channel_to(setup.amqp_url) as channel, service(SLOW_SECONDS) as url:
        await declare(channel, setup)
        command = ours(setup, "/connector/slow/action")
        command.environment["SLOW_URL"] = url
        async with running(command):
            await until_consumed(channel, setup)
            await fill(channel, setup)
            before = await until(channel, setup.sink, SLOW_MESSAGES // 10)
            started = time.perf_counter()
            after = await until(channel, setup.sink, SLOW_MESSAGES * 9 // 10)
            seconds = time.perf_counter() - started
    return (after - before) / seconds / (setup.prefetch / SLOW_SECONDS)


def table(memory_found: dict[str, float], slow_share: float) -> Table:
    """Return the figures as a table."""
    shown = Table("", "", title="Endurance")
    for share, megabytes in memory_found.items():
        shown.add_row(f"memory after {share} of {MEMORY_MESSAGES:,} messages", f"{megabytes:.1f} MB")
    shown.add_row(f"share of the ideal rate, service answers after {SLOW_SECONDS * 1000:.0f} ms", f"{slow_share:.1%}")
    return shown
