"""The store of a command, and what is said when it is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from worker.settings.settings import Settings
from worker.trash.entry import Entry
from worker.trash.opening import open_trash
from worker.trash.store import STORE_ERRORS, TrashStore
from worker.urls import shown_url


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[TrashStore]:
    """Open the store. Raises a `ClickException` that names it when it is away."""
    store = open_trash(settings.trash_address, settings.trash_flood_limit, settings.user_task_collection)
    try:
        yield store
    except STORE_ERRORS as error:
        raise click.ClickException(
            f"the trash at {shown_url(settings.trash_address)} cannot be used: {error}\n"
            "WORKER_TRASH_URL chooses it, otherwise WORKER_DATABASE_URL (in platform mode MONGODB_DSN first)."
        ) from None
    finally:
        await store.close()


async def found(store: TrashStore, reference: str) -> Entry:
    """Return the entry. Raises a `ClickException` when there is none, or more than one."""
    entry = await store.get(reference)
    if entry is None:
        raise click.ClickException(f"{reference}: no such entry, or more than one. See: orchesty-worker trash list")
    return entry


def entries_text(count: int) -> str:
    """Return `1 entry` or `1,234 entries`."""
    return "1 entry" if count == 1 else f"{count:,} entries"
