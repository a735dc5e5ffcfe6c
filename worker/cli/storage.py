"""`orchesty-worker storage`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import wraps
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from connectors.errors import StorageAway
from connectors.storage import Kept, ScopeSearch, Storage
from worker.cli.options import Decorator, json_option
from worker.cli.printing import Listing, say, say_json, say_table
from worker.cli.terminal import confirm, progress, time_text
from worker.settings.settings import Settings, load_settings
from worker.storage.opening import open_storage
from worker.urls import shown_url

SHOWN = 100
SHOWN_ITEMS = 20
ALL = 2**31 - 1
NOTHING = "No collection has items."

storage_option: Decorator = click.option(
    "--storage-url",
    help="The data storage: sqlite:///path, postgresql://... or redis://...  [env: WORKER_STORAGE_URL]",
)

_SCOPE = (
    click.option("--process", help="Correlation id of a run; '' for collections without a run."),
    click.option("--application", help="Key of an application."),
    click.option("--user", help="A user (tenant)."),
)


def scoped(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose collections; it gets them as one argument `search`."""

    @wraps(command)
    def with_search(**options: Any) -> Any:
        names = ("name", "process", "application", "user")
        return command(search=ScopeSearch(**{name: options.pop(name) for name in names}), **options)

    for option in reversed(_SCOPE):
        with_search = option(with_search)
    return with_search


@click.command(
    "list",
    epilog="""\b
Examples:
  orchesty-worker storage list --user alice
  orchesty-worker storage list --json | jq '.[] | select(.items > 100000)'
""",
)
@click.option("--name", help="Name of the collections.")
@scoped
@click.option(
    "--limit", type=click.IntRange(min=0), help="How many to list; 0 for all.  [default: 100, with --json all]"
)
@json_option
@storage_option
def list_(search: ScopeSearch, *, limit: int | None, as_json: bool, storage_url: str | None) -> None:
    """List the collections that have items: name, owner, number of items, and when they expire.

    The one written to last comes first. An empty column means that all share the collection.
    """
    most = (limit if limit is not None else 0 if as_json else SHOWN) or ALL
    found = asyncio.run(_found(load_settings(storage_url=storage_url), search, min(most + 1, ALL)))
    if as_json:
        say_json([_document(kept) for kept in found[:most]])
    elif not found:
        say(NOTHING if search == ScopeSearch() else "Nothing matches.")
    else:
        say_table(_table(found[:most]))
        if len(found) > most:
            say("… and more; --limit 0 lists all")


@click.command(
    epilog="""\b
Examples:
  orchesty-worker storage show products --process 5f3a1b2c
  orchesty-worker storage show rates --application bank --limit 0 --json
"""
)
@click.argument("name")
@scoped
@click.option(
    "--limit", type=click.IntRange(min=0), default=SHOWN_ITEMS, show_default=True, help="Items to show; 0 for all."
)
@json_option
@storage_option
def show(search: ScopeSearch, *, limit: int, as_json: bool, storage_url: str | None) -> None:
    """Show a collection and its first items, one line of JSON each."""
    asyncio.run(_show(load_settings(storage_url=storage_url), search, limit or ALL, as_json=as_json))


@click.command(
    epilog="""\b
Examples:
  orchesty-worker storage purge --process 5f3a1b2c --dry-run
  orchesty-worker storage purge --name products --user alice --yes
"""
)
@click.option("--name", help="Name of the collections.")
@scoped
@click.option("--all", "is_all", is_flag=True, help="All collections.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", "-y", "is_confirmed", is_flag=True, help="Do not ask.")
@storage_option
def purge(search: ScopeSearch, *, is_all: bool, dry_run: bool, is_confirmed: bool, storage_url: str | None) -> None:
    """Delete the items of collections permanently. Expired items go by themselves; states of sources stay."""
    if is_all == (search != ScopeSearch()):
        raise click.UsageError("say which: --name, --process, --application, --user or --all")
    asyncio.run(_purge(load_settings(storage_url=storage_url), search, dry_run=dry_run, is_confirmed=is_confirmed))


async def _found(settings: Settings, search: ScopeSearch, limit: int) -> Sequence[Kept]:
    async with _opened(settings) as opened:
        return await opened.collections(search, limit)


async def _show(settings: Settings, search: ScopeSearch, limit: int, *, as_json: bool) -> None:
    async with _opened(settings) as opened:
        kept = _only(await opened.collections(search, 2), search)
        shown = [item async for item in _first(opened, kept, limit)]
    if as_json:
        say_json({**_document(kept), "content": shown})
        return
    say_table(_table([kept]))
    for item in shown:
        say_json(item, indent=None)
    if kept.items > len(shown):
        say(f"… and {kept.items - len(shown):,} more; --limit 0 shows all")


async def _purge(settings: Settings, search: ScopeSearch, *, dry_run: bool, is_confirmed: bool) -> None:
    async with _opened(settings) as opened:
        found = await opened.collections(search, ALL)
        if dry_run or not found:
            say(f"{_text(found)} to delete")
            return
        confirm(f"Delete {_text(found)} for good?", is_confirmed=is_confirmed)
        with progress("purged", len(found)) as bar:
            for kept in found:
                await opened.collection(**asdict(kept.scope)).clear()
                bar.advance(bar.task_ids[0])
    say(f"{_text(found)} deleted")


async def _first(opened: Storage, kept: Kept, limit: int) -> AsyncIterator[Any]:
    count = 0
    async for item in opened.collection(**asdict(kept.scope)).read():
        if count == limit:
            return
        count += 1
        yield item


def _only(found: Sequence[Kept], search: ScopeSearch) -> Kept:
    if not found:
        raise click.ClickException(f"no such collection has items: {search.name}. See: orchesty-worker storage list")
    if len(found) > 1:
        raise click.ClickException(
            f"several collections are named {search.name}: choose by --process, --application and --user. "
            f"See: orchesty-worker storage list --name {search.name}"
        )
    return found[0]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Storage]:
    opened = open_storage(settings.storage_address)
    try:
        yield opened
    except StorageAway as error:
        raise click.ClickException(
            f"the data storage at {shown_url(settings.storage_address)} cannot be used: {error}\n"
            "WORKER_STORAGE_URL chooses it, otherwise WORKER_DATABASE_URL."
        ) from None
    finally:
        await opened.close()


def _table(found: Sequence[Kept]) -> Table:
    table = Listing("name", "process", "application", "user", box=None, header_style="bold")
    table.add_column("items", justify="right")
    table.add_column("expires (UTC)")
    for kept in found:
        cells = [Text(cell) for cell in asdict(kept.scope).values()]
        table.add_row(*cells, f"{kept.items:,}", time_text(kept.expires))
    return table


def _document(kept: Kept) -> dict[str, Any]:
    return {**asdict(kept.scope), "items": kept.items, "expires": kept.expires}


def _text(found: Sequence[Kept]) -> str:
    items = sum(kept.items for kept in found)
    return f"{len(found):,} collection{'' if len(found) == 1 else 's'} with {items:,} item{'' if items == 1 else 's'}"
