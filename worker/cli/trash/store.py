"""The store of a command, what is said when it is away, and what is shown while it works."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from worker.settings import Settings
from worker.trash import STORE_ERRORS, Entry, TrashStore, open_trash, shown_url


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[TrashStore]:
    """Open the store. Raises a `ClickException` that names it when it is away."""
    store = open_trash(settings.trash_address, settings.trash_flood_limit)
    try:
        yield store
    except STORE_ERRORS as error:
        raise click.ClickException(
            f"the trash at {shown_url(settings.trash_address)} cannot be used: {error}\n"
            "It is chosen by WORKER_TRASH_URL, else WORKER_DATABASE_URL (in platform mode MONGODB_DSN first)."
        ) from None
    finally:
        await store.close()


async def found(store: TrashStore, reference: str) -> Entry:
    """Return the entry. Raises a `ClickException` when there is none, or more than one."""
    entry = await store.get(reference)
    if entry is None:
        raise click.ClickException(f"{reference}: no such entry, or more than one. See: orchesty-worker trash list")
    return entry


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Progress]:
    """Show a bar on a terminal, with one task; nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        bar.add_task(label, total=total)
        yield bar


def confirm(question: str, *, is_confirmed: bool) -> None:
    """Ask on a terminal, unless it was answered before. Ends the command when the answer is no."""
    if not is_confirmed and sys.stdin.isatty():
        click.confirm(question, abort=True)


def entries_text(count: int) -> str:
    """Return `1 entry` or `1,234 entries`."""
    return "1 entry" if count == 1 else f"{count:,} entries"


def time_text(ms: int) -> str:
    """Return a time in ms for a person, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
