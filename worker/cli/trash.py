"""`orchesty-worker trash`."""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from worker import headers as h
from worker.broker import Publication, Publisher
from worker.cli.broker import connected, publish
from worker.cli.options import amqp_option, json_option, topology_option, trash_option
from worker.envelope import encode
from worker.settings import Settings, load_settings
from worker.trash import Entry, State, TrashStore


@click.group()
def trash() -> None:
    """Look at messages in the trash and at user tasks, and decide about them."""


@trash.command("list", epilog="\b\nExample:\n  orchesty-worker trash list --json | jq -r '.[].reason'\n")
@json_option
@trash_option
def list_(*, as_json: bool, trash_url: str | None) -> None:
    """List what waits for a decision, oldest first."""
    entries = asyncio.run(_waiting(load_settings(trash_url=trash_url)))
    if as_json:
        click.echo(json.dumps([entry.document() for entry in entries], indent=1, ensure_ascii=False))
    else:
        _print(entries)


@trash.command(epilog="\b\nExample:\n  orchesty-worker trash approve 1f3a\n")
@click.argument("ids", nargs=-1, required=True)
@trash_option
@amqp_option
@topology_option
def approve(ids: tuple[str, ...], trash_url: str | None, amqp_url: str | None, topology_path: Path | None) -> None:
    """Send entries back to their node. An id may be shortened as long as it is unique."""
    settings = load_settings(trash_url=trash_url, amqp_url=amqp_url, topology=topology_path)
    sys.exit(asyncio.run(_decide(settings, ids, State.APPROVED)))


@trash.command(epilog="\b\nExample:\n  orchesty-worker trash reject 1f3a\n")
@click.argument("ids", nargs=-1, required=True)
@trash_option
def reject(ids: tuple[str, ...], trash_url: str | None) -> None:
    """Drop entries from the list; they stay in the database as rejected."""
    sys.exit(asyncio.run(_decide(load_settings(trash_url=trash_url), ids, State.REJECTED)))


async def _waiting(settings: Settings) -> Sequence[Entry]:
    store = TrashStore(settings.trash_url)
    try:
        return await store.waiting()
    finally:
        await store.close()


async def _decide(settings: Settings, ids: tuple[str, ...], state: State) -> int:
    store = TrashStore(settings.trash_url)
    try:
        results = [await _decide_one(settings, store, reference, state) for reference in ids]
    finally:
        await store.close()
    return 0 if all(results) else 1


async def _decide_one(settings: Settings, store: TrashStore, reference: str, state: State) -> bool:
    entry = await store.get(reference)
    if entry is None:
        click.echo(f"{reference}: no such entry, or more than one. See: orchesty-worker trash list", err=True)
        return False
    if state is State.APPROVED and entry.raw is not None:
        click.echo(f"{entry.id}: the message could not be read and cannot be sent on: {entry.reason}", err=True)
        return False
    if not await store.decide(entry, state):
        click.echo(f"{entry.id}: somebody else has just decided", err=True)
        return False
    if state is State.APPROVED:
        await _send_back(settings, store, entry)
    click.echo(f"{entry.id} {state}")
    return True


async def _send_back(settings: Settings, store: TrashStore, entry: Entry) -> None:
    headers = h.without(entry.headers, h.TRANSIENT) | {h.USER_TASK_STATE: "accept"}
    message = Publication(entry.return_exchange, entry.return_routing_key, encode(headers, entry.body or ""))
    publisher = Publisher()
    try:
        async with connected(settings, publisher.serve):
            await publish(publisher, [message])
    except BaseException:
        await store.reopen(entry)
        raise


def _print(entries: Sequence[Entry]) -> None:
    if not entries:
        click.echo("The trash is empty.")
        return
    table = Table("id", "type", "when (UTC)", "node", "user", "reason", box=None, header_style="bold")
    for entry in entries:
        when = datetime.fromtimestamp(entry.created / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(entry.id[:8], entry.type, when, entry.node_name, entry.user or "", entry.reason or "")
    Console().print(table)
