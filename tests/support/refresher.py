"""A process that asks a service with fifty tasks, and may die on the way to a new token.

    python -m support.refresher DATABASE DIRECTORY KEY [STEP]

STEP is where it kills itself: leased, written, saved. It prints the statuses that it got.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from applications.accounts import Accounts
from support.accounts import opened
from support.oauth_application import Books


def dies_after(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the call followed by the end of this process."""

    async def called(*arguments: Any) -> Any:
        await call(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    return called


def write_then_die(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the call followed by the end of this process."""

    def called(*arguments: Any) -> Any:
        call(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    return called


def arrange(accounts: Accounts, step: str) -> None:
    """Let the process die at a step."""
    tokens = accounts.tokens
    match step:
        case "leased":
            accounts.installs.lease = dies_after(accounts.installs.lease)  # type: ignore[method-assign]
        case "written":
            tokens._journal.write = write_then_die(tokens._journal.write)  # type: ignore[method-assign]
        case "saved":
            accounts.installs.save_token = dies_after(accounts.installs.save_token)  # type: ignore[method-assign]


async def main(url: str, directory: str, key: str, step: str = "") -> None:
    """Ask with fifty tasks."""
    async with opened(url, Path(directory), key) as accounts:
        arrange(accounts, step)
        async with accounts.client(Books, "alice") as client:
            replies = await asyncio.gather(*(client.get("/orders") for _ in range(50)))
        print("statuses", *sorted({reply.status_code for reply in replies}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
