"""`orchesty-worker trash list` and `show`."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace

import click
import msgspec
from rich.text import Text

from worker.cli.options import json_option, trash_option
from worker.cli.printing import Listing, is_printable, say, say_json, say_table, say_text, say_title
from worker.cli.terminal import time_text
from worker.cli.trash.filters import STATES, filters, state_option
from worker.cli.trash.store import entries_text, found, opened
from worker.protocol.headers import text
from worker.settings.settings import Settings, load_settings
from worker.trash.entry import Entry, EntryState
from worker.trash.store import Search, entries
from worker.urls import shown_url

SHOWN = 100
SHOWN_CHARACTERS = 100_000
"""How much of an unreadable message `show` prints."""


@click.command(
    "list",
    epilog="""\b
Examples:
  orchesty-worker trash list --node fetch-orders --newer-than 2h
  orchesty-worker trash list --reason timeout --state all
  orchesty-worker trash list --json | jq -r '.[].reason'
""",
)
@filters
@state_option("open")
@click.option(
    "--limit", type=click.IntRange(min=0), help="How many to list; 0 for all.  [default: 100, with --json all]"
)
@json_option
@trash_option
def list_(search: Search, *, state: str, limit: int | None, as_json: bool, trash_url: str | None) -> None:
    """List the entries that wait for a decision, oldest first."""
    asyncio.run(
        _list(load_settings(trash_url=trash_url), replace(search, states=STATES[state]), limit, as_json=as_json)
    )


async def _list(settings: Settings, search: Search, limit: int | None, *, as_json: bool) -> None:
    async with opened(settings) as store:
        ids = await store.ids(search)
        wanted = ids[: (limit if limit is not None else 0 if as_json else SHOWN) or len(ids)]
        listed = [entry async for entry in entries(store, wanted)]
    if as_json:
        say_json([entry.document() for entry in listed])
    elif not ids:
        where = shown_url(settings.trash_address)
        say(f"The trash at {where} is empty." if search == Search() else "Nothing matches.")
    else:
        _print(listed, with_state=search != Search())
        if len(ids) > len(wanted):
            say(f"… and {entries_text(len(ids) - len(wanted))} more; --limit 0 lists all")


def _print(listed: Sequence[Entry], *, with_state: bool) -> None:
    heads = ["id", "type", "when (UTC)", "node", "user", *(["state"] if with_state else []), "reason"]
    table = Listing(*heads, box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for entry in listed:
        state = [entry.state.value] if with_state else []
        cells = [entry.id[:8], entry.type, time_text(entry.created), entry.node_name, entry.user or "", *state]
        table.add_row(*(Text(cell) for cell in cells), Text(_reason(entry)))
    say_table(table)


def _reason(entry: Entry) -> str:
    notes = [
        f"+{entry.more:,} equal" if entry.more else "",
        "edited" if entry.edited else "",
        f"claimed by {entry.changed_by}" if entry.state is EntryState.CLAIMED else "",
        "" if entry.is_readable else "unreadable",
    ]
    shown = ", ".join(note for note in notes if note)
    return f"{entry.reason or ''} [{shown}]".strip() if shown else entry.reason or ""


@click.command(
    epilog="""\b
Examples:
  orchesty-worker trash show 1f3a
  orchesty-worker trash show 1f3a --raw > message.bin
"""
)
@click.argument("entry_id", metavar="ID")
@click.option("--raw", "is_raw", is_flag=True, help="Write the body, or the bytes of an unreadable message, unchanged.")
@json_option
@trash_option
def show(entry_id: str, *, is_raw: bool, as_json: bool, trash_url: str | None) -> None:
    """Show everything about an entry, with its headers and body."""
    entry = asyncio.run(_get(load_settings(trash_url=trash_url), entry_id))
    if is_raw:
        if sys.stdout.isatty() and not is_printable(entry.content):
            raise click.ClickException("it holds characters that a terminal obeys; write it to a file: --raw > FILE")
        sys.stdout.buffer.write(entry.content)
    elif as_json:
        say_json(entry.document())
    else:
        _show(entry)


async def _get(settings: Settings, reference: str) -> Entry:
    async with opened(settings) as store:
        return await found(store, reference)


def _show(entry: Entry) -> None:
    facts = {
        "id": entry.id,
        "type": entry.type.value,
        "state": entry.state.value + (f" by {entry.changed_by}" if entry.changed_by else ""),
        "reason": entry.reason or "",
        "equal": f"{entry.more:,} more, only counted" if entry.more else "",
        "node": f"{entry.node_name} ({entry.node_id})",
        "topology": f"{entry.topology_name} ({entry.topology_id})",
        "application": entry.application,
        "process": entry.correlation_id,
        "user": entry.user or "",
        "created": f"{time_text(entry.created)} UTC",
        "updated": f"{time_text(entry.updated)} UTC",
        "edited": f"{time_text(entry.edited)} UTC by {entry.edited_by}" if entry.edited else "",
        "returns to": f"{entry.return_exchange}, routing key {entry.return_routing_key}",
    }
    _section("", {name: value for name, value in facts.items() if value})
    _section("headers", {name: text(value) for name, value in sorted(entry.headers.items())})
    body = "body" if entry.is_readable else "bytes of a message that could not be read (edit repairs, --raw writes it)"
    _body(f"{body}, edited" if entry.edited else body, entry.text)
    if entry.edited:
        _body("body as it came", entry.original_body if entry.original_body is not None else _raw_text(entry))


def _raw_text(entry: Entry) -> str:
    return (entry.raw or b"").decode("utf-8", "backslashreplace")


def _section(title: str, facts: dict[str, str]) -> None:
    if title:
        say_title(title)
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        say(f"  {name:{width}}  {value}")


def _body(title: str, body: str) -> None:
    say_title(title)
    shown = pretty(body)
    say_text(shown[:SHOWN_CHARACTERS], indent="  ")
    if len(shown) > SHOWN_CHARACTERS:
        say(f"… and {len(shown) - SHOWN_CHARACTERS:,} characters more; --raw writes all")


def pretty(body: str) -> str:
    """Return JSON with line breaks, its numbers as they are written; any other text as it is."""
    try:
        return msgspec.json.format(body, indent=2)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return body
