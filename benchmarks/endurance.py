"""Memory over many messages, and how much of the ideal rate a connector holds while its service is slow."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web
from rich.table import Table

from benchmarks.contestants import ours
from benchmarks.rig import Setup, channel_to, declare, fill, resident_megabytes, running, until, until_consumed

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
    async with channel_to(setup.amqp_url) as channel, _service() as url:
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


@asynccontextmanager
async def _service() -> AsyncIterator[str]:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(SLOW_SECONDS)
        return web.json_response({"ok": True})

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


def table(memory_found: dict[str, float], slow_share: float) -> Table:
    """Return the figures as a table."""
    shown = Table("", "", title="Endurance")
    for share, megabytes in memory_found.items():
        shown.add_row(f"memory after {share} of {MEMORY_MESSAGES:,} messages", f"{megabytes:.1f} MB")
    shown.add_row(f"share of the ideal rate, service answers after {SLOW_SECONDS * 1000:.0f} ms", f"{slow_share:.1%}")
    return shown
