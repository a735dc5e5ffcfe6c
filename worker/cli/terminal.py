"""What commands ask and show on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from worker.visible import printable


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Progress]:
    """Show a bar on a terminal, with one task; nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        bar.add_task(label, total=total)
        yield bar


def confirm(question: str, *, is_confirmed: bool) -> None:
    """Ask, unless it was answered before. Ends the command when the answer is no, or nobody is there to answer."""
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can answer here: add --yes")
    click.confirm(printable(question), abort=True, err=True)


def time_text(ms: int) -> str:
    """Return a time in ms for a person, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
