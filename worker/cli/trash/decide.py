"""`orchesty-worker trash approve` and `reject`."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from worker.broker.publisher import Publisher
from worker.cli.broker import PATIENCE_SECONDS, connected
from worker.cli.options import amqp_option, json_option, topology_file_option, trash_option
from worker.cli.printing import say, say_json
from worker.cli.terminal import confirm, progress
from worker.cli.trash.filters import filters
from worker.cli.trash.store import entries_text, found, opened
from worker.logs import configure_logs
from worker.settings.settings import Settings, load_settings
from worker.trash.deciding import Decider, DecisionTally
from worker.trash.entry import EntryState, EntryType
from worker.trash.store import Search, TrashStore

NAMED = 20
"""Up to so many entries are named one by one."""


def _decision(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments and options that choose entries."""
    for decorate in (
        topology_file_option,
        amqp_option,
        trash_option,
        json_option,
        click.option("--yes", "-y", "is_confirmed", is_flag=True, help="Do not ask before deciding many."),
        click.option("--dry-run", is_flag=True, help="Only list the entries that would be decided."),
        click.option("--all", "is_all", is_flag=True, help="All waiting entries."),
        filters,
        click.argument("ids", nargs=-1),
    ):
        command = decorate(command)
    return command


@click.command(
    epilog="""\b
Examples:
  orchesty-worker trash approve 1f3a 2b4c
  orchesty-worker trash approve --node fetch-orders --reason "503" --newer-than 3d --dry-run
  orchesty-worker trash approve --all --yes
"""
)
@_decision
def approve(**options: Any) -> None:
    """Send entries back to their node: by id, by filters, or all."""
    _run(EntryState.APPROVED, **options)


@click.command(
    epilog="""\b
Examples:
  orchesty-worker trash reject 1f3a
  orchesty-worker trash reject --older-than 3w --reason "no such customer"
"""
)
@_decision
def reject(**options: Any) -> None:
    """Reject entries: they are kept, but not sent back. The process of a user task ends."""
    _run(EntryState.REJECTED, **options)


def _run(
    state: EntryState,
    *,
    ids: tuple[str, ...],
    search: Search,
    is_all: bool,
    dry_run: bool,
    is_confirmed: bool,
    as_json: bool,
    trash_url: str | None,
    amqp_url: str | None,
    topology_path: Path | None,
) -> None:
    ways = [bool(ids), search != Search(), is_all]
    if sum(ways) != 1:
        raise click.UsageError("give ids, filters or --all" + (", only one of them" if any(ways) else ""))
    settings = load_settings(trash_url=trash_url, amqp_url=amqp_url, topology=topology_path)
    configure_logs(settings)
    own = {"dry_run": dry_run, "is_confirmed": is_confirmed or bool(ids), "as_json": as_json}
    sys.exit(asyncio.run(_decide(settings, ids, search, state, **own)))


async def _decide(
    settings: Settings,
    references: tuple[str, ...],
    search: Search,
    state: EntryState,
    *,
    dry_run: bool,
    is_confirmed: bool,
    as_json: bool,
) -> int:
    """Decide, say what became of the entries, and return the exit status: 1 when some could not be decided."""
    async with opened(settings) as store:
        ids = [(await found(store, one)).id for one in references] if references else await store.ids(search)
        ids = list(dict.fromkeys(ids))
        if dry_run:
            _tell_only(ids, state, as_json=as_json)
            return 0
        if ids:
            verb = "Approve" if state is EntryState.APPROVED else "Reject"
            confirm(f"{verb} {entries_text(len(ids))}?", is_confirmed=is_confirmed)
        tally = await carry_out(settings, store, ids, state) if ids else DecisionTally()
        if as_json:
            say_json(asdict(tally))
        elif ids:
            await _report(store, tally, state, are_named=bool(references))
        else:
            say("Nothing matches.")
    return 1 if tally.unreadable or tally.refused or tally.untried or (references and tally.taken) else 0


def _tell_only(ids: Sequence[str], state: EntryState, *, as_json: bool) -> None:
    if as_json:
        say_json({"wouldBeDecided": ids})
    elif ids:
        for own in ids:
            say(own)
        say(f"{entries_text(len(ids))} would be {state}", err=True)
    else:
        say("Nothing matches.")


async def carry_out(settings: Settings, store: TrashStore, ids: Sequence[str], state: EntryState) -> DecisionTally:
    """Approve or reject these entries, with a bar, and connect to the broker where that is needed."""
    async with _publisher(settings, is_needed=await _is_published(store, ids, state)) as publisher:
        decider = Decider(store, publisher)
        with progress(state.value, len(ids)) as bar:
            await decider.decide(ids, state, lambda: bar.update(bar.task_ids[0], completed=decider.tally.handled))
    return decider.tally


async def _is_published(store: TrashStore, ids: Sequence[str], state: EntryState) -> bool:
    return state is EntryState.APPROVED or not set(ids).isdisjoint(await store.ids(Search(type=EntryType.USER_TASK)))


@asynccontextmanager
async def _publisher(settings: Settings, *, is_needed: bool) -> AsyncIterator[Publisher | None]:
    """Connect once for all entries, before the first is claimed."""
    if not is_needed:
        yield None
        return
    publisher = Publisher()
    async with connected(settings, publisher.serve):
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await publisher.wait_until_open()
        except TimeoutError:
            raise click.ClickException(
                f"no connection to the broker within {PATIENCE_SECONDS} s; the log above says why. "
                "Is WORKER_AMQP_URL right?"
            ) from None
        yield publisher


async def _report(store: TrashStore, tally: DecisionTally, state: EntryState, *, are_named: bool) -> None:
    if len(tally.decided) <= NAMED:
        for own in tally.decided:
            say(f"{own} {state}")
    else:
        say(f"{entries_text(len(tally.decided))} {state}")
    if are_named:
        for entry in await store.load(tally.taken):
            by = f" by {entry.changed_by}" if entry.changed_by else ""
            say(f"{entry.id}: is {entry.state}{by} already", err=True)
    elif tally.taken:
        say(f"{entries_text(len(tally.taken))} decided by somebody else meanwhile", err=True)
    if tally.unreadable:
        say(
            f"{entries_text(len(tally.unreadable))} could not be read and cannot be sent on as they are: "
            f"orchesty-worker trash edit {tally.unreadable[0][:8]}",
            err=True,
        )
    for why, count in Counter(tally.refused.values()).items():
        say(f"{entries_text(count)} wait again: {why}", err=True)
    if tally.untried:
        say(f"{entries_text(len(tally.untried))} were not tried", err=True)
