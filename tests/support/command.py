"""The command line, run as a person runs it."""

import asyncio
import os
import subprocess

from support.prepared import run
from support.services import LOOPBACK


def command(*arguments: str, text_in: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `orchesty-worker` with these settings and none of the tests' own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKER_", "TOPOLOGY_"))}
    return run(arguments, {**clean, "WORKER_EGRESS_ALLOW": LOOPBACK, **environment}, text_in=text_in)


async def command_async(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it while the test's event loop goes on."""
    return await asyncio.to_thread(command, *arguments, **environment)
