"""`orchesty-worker trash purge`."""

import asyncio

import click

from worker.cli.options import json_option, trash_option
from worker.cli.printing import say, say_json
from worker.cli.terminal import confirm, progress
from worker.cli.trash.store import entries_text, opened
from worker.protocol.message import now_ms
from worker.settings.settings import Settings, load_settings
from worker.trash.retention import Retention, expired
from worker.trash.store import chunks


@click.command(
    epilog="""\b
Examples:
  orchesty-worker trash purge --dry-run
  orchesty-worker trash purge --decided-days 7 --yes
"""
)
@click.option(
    "--decided-days",
    type=click.FloatRange(min=0),
    help="Age of decided entries. 0: keep them.  [env: WORKER_TRASH_KEEP_DAYS]",
)
@click.option(
    "--waiting-days",
    type=click.FloatRange(min=0),
    help="Age of waiting entries. 0: keep them.  [env: WORKER_TRASH_KEEP_WAITING_DAYS]",
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", "-y", "is_confirmed", is_flag=True, help="Do not ask.")
@json_option
@trash_option
def purge(
    decided_days: float | None,
    waiting_days: float | None,
    *,
    dry_run: bool,
    is_confirmed: bool,
    as_json: bool,
    trash_url: str | None,
) -> None:
    """Delete old entries permanently: decided ones and, if you say so, waiting ones.

    A running worker does this every hour.
    """
    settings = load_settings(trash_url=trash_url, trash_keep_days=decided_days, trash_keep_waiting_days=waiting_days)
    count, is_done = asyncio.run(_purge(settings, dry_run=dry_run, is_confirmed=is_confirmed))
    if as_json:
        say_json({"deleted" if is_done else "toDelete": count}, indent=None)
    else:
        say(f"{entries_text(count)} {'deleted' if is_done else 'to delete'}")


async def _purge(settings: Settings, *, dry_run: bool, is_confirmed: bool) -> tuple[int, bool]:
    """Return how many entries, and whether they were deleted; they are only counted in a dry run."""
    async with opened(settings) as store:
        retention = Retention(settings.trash_keep_days, settings.trash_keep_waiting_days)
        ids = await expired(store, retention, now_ms())
        if dry_run:
            return len(ids), False
        if ids:
            confirm(f"Delete {entries_text(len(ids))} for good?", is_confirmed=is_confirmed)
        count = 0
        with progress("purged", len(ids)) as bar:
            for chunk in chunks(ids):
                count += await store.purge(chunk)
                bar.advance(bar.task_ids[0], len(chunk))
    return count, True
