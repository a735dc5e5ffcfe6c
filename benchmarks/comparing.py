"""`python -m benchmarks.comparing [URL]`: does the memory of `comparator` grow with what it remembers?

Four runs of messages with 1000 items each: all are new, none has changed, one in ten has changed, half are gone.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from benchmarks.rig import resident_megabytes
from connectors import Message, Page
from connectors.nodes.comparator import Comparator
from worker.storage.opening import open_storage

TOGETHER = 1000
MASTER = f"benchmark-{uuid4().hex}"


async def measure(url: str, count: int) -> Table:
    """Compare so many items four times."""
    comparator = Comparator()
    comparator.storage = open_storage(url)
    await comparator.storage.comparing.invalidate(MASTER)  # opens the storage
    title = f"{count} items, {resident_megabytes(os.getpid()):.0f} MB before"
    table = Table("run", "created", "updated", "deleted", "seconds", "MB", title=title)
    for name, every, end in (("new", 0, count), ("same", 0, count), ("a tenth", 10, count), ("half", 10, count // 2)):
        before, found = time.monotonic(), [0, 0, 0]
        for first in range(0, end, TOGETHER):
            outcome = await compare(comparator, name, items(first, every), is_last=first + TOGETHER >= end)
            found = [known + new for known, new in zip(found, counted(outcome), strict=True)]
        seconds, megabytes = time.monotonic() - before, resident_megabytes(os.getpid())
        table.add_row(name, *map(str, found), f"{seconds:.0f}", f"{megabytes:.0f}")
    await comparator.storage.close()
    return table


def items(first: int, every: int) -> list[dict[str, Any]]:
    """Return items; each of so many has another value than before."""
    return [
        {"id": number, "name": f"product {number}", "value": bool(every) and number % every == 0}
        for number in range(first, first + TOGETHER)
    ]


async def compare(
    comparator: Comparator, run: str, listed: list[dict[str, Any]], *, is_last: bool
) -> Message[Any] | Page:
    """Return what the node makes of one message."""
    wanted = {"idField": "id", "masterKey": MASTER, "deleted": True, "isLast": is_last}
    headers = {"correlation-id": run, "process-id": uuid4().hex}
    body = Message(headers, "").with_data({"items": listed, "configuration": wanted}).body
    outcome = await comparator.process(Message(headers, body, comparator.read))
    assert isinstance(outcome, Message | Page)
    return outcome


def counted(outcome: Message[Any] | Page) -> list[int]:
    """Return how many items were created, updated and deleted."""
    results = [message.data for message in (outcome.items if isinstance(outcome, Page) else [outcome])]
    return [sum(len(result[name]) for result in results) for name in ("created", "updated", "deleted")]


def main() -> None:
    """Measure what the options say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", help="as WORKER_STORAGE_URL; by default a file of SQLite")
    parser.add_argument("--items", type=int, default=1_000_000)
    options = parser.parse_args(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{folder}/compared.sqlite"
        Console().print(asyncio.run(measure(url, options.items)))


if __name__ == "__main__":
    main()
