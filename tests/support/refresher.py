"""A process that asks a service with fifty tasks, and may die on the way to a new token.

    python -m support.refresher DATABASE DIRECTORY KEY [STEP]

STEP is where the process that refreshes kills itself: leased, arrived, written, saved. Of several processes only the
first that comes so far does. It prints the statuses that it got.
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


def die_once(directory: Path) -> None:
    """End this process, unless another has ended so."""
    try:
        (directory / "died").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after(call: Callable[..., Any], directory: Path) -> Callable[..., Any]:
    """Return the call, followed by the end of this process when it brought something."""

    async def called(*arguments: Any, **named: Any) -> Any:
        result = await call(*arguments, **named)
        if result:
            die_once(directory)
        return result

    return called


def dies_beside(call: Callable[..., Any], directory: Path, *, is_before: bool) -> Callable[..., Any]:
    """Return the call, with the end of this process before or after it."""

    def called(*arguments: Any) -> Any:
        if is_before:
            die_once(directory)
        result = call(*arguments)
        die_once(directory)
        return result

    return called


def arrange(accounts: Accounts, step: str, directory: Path) -> None:
    """Let the process die at a step."""
    installs, journal = accounts.installs, accounts.tokens._journal
    match step:
        case "leased":
            installs.lease = dies_after(installs.lease, directory)  # type: ignore[method-assign]
        case "arrived" | "written":
            journal.write = dies_beside(journal.write, directory, is_before=step == "arrived")  # type: ignore[method-assign]
        case "saved":
            installs.save_token = dies_after(installs.save_token, directory)  # type: ignore[method-assign]


async def main(url: str, directory: str, key: str, step: str = "") -> None:
    """Ask with fifty tasks."""
    async with opened(url, Path(directory), key) as accounts:
        arrange(accounts, step, Path(directory))
        client = await accounts.client(Books, "alice")
        replies = await asyncio.gather(*(client.get("/orders") for _ in range(50)))
        print("statuses", *sorted({reply.status for reply in replies}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
