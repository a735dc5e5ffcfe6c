"""`orchesty-worker trash export` and `import`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import click

from applications.private_files import private
from worker.cli.options import json_option, trash_option
from worker.cli.printing import say, say_json
from worker.cli.terminal import progress
from worker.cli.trash.filters import STATES, filters, state_option
from worker.cli.trash.store import entries_text, opened
from worker.settings.settings import Settings, load_settings
from worker.trash.store import Search, entries
from worker.trash.transfer import from_line, to_line


@click.command(
    epilog="""\b
Examples:
  orchesty-worker trash export trash.jsonl
  orchesty-worker trash export - --node fetch-orders | gzip > fetch-orders.jsonl.gz
"""
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@filters
@state_option("all")
@trash_option
def export(file: str, search: Search, state: str, trash_url: str | None) -> None:
    """Write entries to FILE (- is standard output), one line of JSON each, complete.

    A file that is there is replaced once all of them are written. A new one can be read by you only.
    """
    settings = load_settings(trash_url=trash_url)
    try:
        with _replacing(file) as lines:
            asyncio.run(_export(settings, replace(search, states=STATES[state]), lines))
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None


@contextmanager
def _replacing(file: str) -> Iterator[IO[str]]:
    """Open a file for writing, which takes the place of the one that is there when nothing has gone wrong."""
    path = Path(file).resolve()
    if file == "-" or (path.exists() and not path.is_file()):  # a pipe or a device
        with click.open_file(file, "w", encoding="utf-8") as lines:
            yield lines
        return
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "w", encoding="utf-8", opener=private) as lines:
            if path.exists():
                part.chmod(path.stat().st_mode)
            yield lines
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


async def _export(settings: Settings, search: Search, file: IO[str]) -> None:
    count = 0
    async with opened(settings) as store:
        ids = await store.ids(search)
        with progress("exported", len(ids)) as bar:
            async for entry in entries(store, ids):
                file.write(to_line(entry) + "\n")
                count += 1
                bar.advance(bar.task_ids[0])
    say(f"{entries_text(count)} exported", err=True)


@click.command(
    "import",
    epilog="""\b
Examples:
  orchesty-worker trash import trash.jsonl
  WORKER_TRASH_URL=postgresql://worker:secret@db/worker orchesty-worker trash import trash.jsonl
""",
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@json_option
@trash_option
def import_(file: str, *, as_json: bool, trash_url: str | None) -> None:
    """Read entries from FILE (- is standard input) that `export` wrote.

    Entries that exist already stay as they are, so you may repeat the import.
    """
    settings = load_settings(trash_url=trash_url)
    try:
        with click.open_file(file, encoding="utf-8", errors="surrogateescape") as lines:
            new, known = asyncio.run(_import(settings, lines))
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    if as_json:
        say_json({"imported": new, "known": known}, indent=None)
    else:
        say(f"{entries_text(new)} imported, {known:,} existed already")


async def _import(settings: Settings, file: IO[str]) -> tuple[int, int]:
    """Return how many entries were new, and how many existed already."""
    new = known = 0
    async with opened(settings) as store:
        with progress("imported", None) as bar:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    entry = from_line(line)
                except ValueError as error:
                    before = f"{entries_text(new)} imported before it; repair the line and repeat"
                    raise click.ClickException(f"{file.name}, line {number}: {error}\n{before}") from None
                if await store.put(entry):
                    new += 1
                else:
                    known += 1
                bar.advance(bar.task_ids[0])
    return new, known
