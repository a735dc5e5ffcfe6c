"""The one place through which commands print.

What they print has come from services and messages: a reason, a name or a body may hold sequences that a terminal
obeys, or a line break that makes a line look like one of ours. Characters that cannot be seen are printed as escapes.
"""

import json
import re
from typing import Any, Final

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from worker.visible import printable

_ESCAPED: Final = re.compile(r"[^\x20-\x7e]")


def is_printable(content: bytes) -> bool:
    """Whether a terminal shows the bytes as they are."""
    try:
        return all(line.replace("\t", "").isprintable() for line in content.decode().split("\n"))
    except UnicodeDecodeError:
        return False


def say(text: str = "", *, bold: bool = False, dim: bool = False, is_bad: bool = False, err: bool = False) -> None:
    """Print one line."""
    click.secho(printable(text), bold=bold or None, dim=dim or None, fg="red" if is_bad else None, err=err)


def say_title(text: str) -> None:
    """Print the title of what follows."""
    say()
    say(text, bold=True)


def say_fact(name: str, value: object, width: int) -> None:
    """Print a name and its value on one line; `-` for a value that is empty."""
    click.echo(f"{click.style(f'{printable(name):{width}}', bold=True)}{printable(str(value or '-'))}")


def say_text(text: str, indent: str = "", *, err: bool = False) -> None:
    """Print lines of somebody else's; with an indent none of them looks like one of ours."""
    for line in text.split("\n"):
        say(f"{indent}{line}".replace("\t", "    "), err=err)


def say_json(document: Any, *, indent: int | None = 1) -> None:
    r"""Print JSON, in which what cannot be seen is written as JSON does: `\u001b`."""
    try:
        text = json.dumps(document, indent=indent, ensure_ascii=False)
    except RecursionError:
        raise click.ClickException("it is nested too deeply to be printed as JSON") from None
    click.echo("\n".join(map(_visible_json, text.split("\n"))))


def _visible_json(line: str) -> str:
    if line.isprintable():
        return line
    return _ESCAPED.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], line)


def say_table(*parts: RenderableType) -> None:
    """Print tables and texts."""
    Console().print(*parts)


class Listing(Table):
    """A table whose cells are printed as they are, without markup, each on its own line.

    Nothing is cut on a narrow terminal: what is too long goes on in the next line.
    """

    def __init__(self, *heads: str, **options: Any) -> None:
        """Takes what a `Table` does; each head is a column."""
        super().__init__(**options)
        for head in heads:
            self.add_column(head)

    def add_column(self, *content: Any, **options: Any) -> None:
        """Add a column as a `Table` does, one that folds."""
        super().add_column(*content, **{"overflow": "fold", **options})

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row; texts in it may come from anywhere."""
        super().add_row(*map(_cell, cells), **options)


def _cell(cell: RenderableType | None) -> RenderableType | None:
    if isinstance(cell, str):
        return Text(printable(cell))
    if isinstance(cell, Text) and not cell.plain.isprintable():
        return Text(printable(cell.plain), style=cell.style)
    return cell
