"""Commands that are imported when they are called."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click


class Lazy(click.Command):
    """Stands for a command in the list of its group: knows its name and the first sentence of its help, no more.

    The command itself takes over when its arguments are read, so its help, its options and its completion are its own.
    """

    def __init__(self, name: str, place: str, summary: str) -> None:
        """Name the command, its place as `module:function` below `worker.cli`, and what its list says of it."""
        super().__init__(name, help=summary)
        self.place = place

    def load(self) -> click.Command:
        """Import the command."""
        module, _, function = self.place.partition(":")
        command = getattr(import_module(f"worker.cli.{module}"), function)
        assert isinstance(command, click.Command)
        _see_own_folder()
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments as the command itself does; its context is what click goes on with."""
        return self.load().make_context(info_name, args, parent, **extra)


def _see_own_folder() -> None:
    """Let `--actions` name modules of the folder that one stands in.

    Only once our own packages are imported: a folder may be named `connectors` as well.
    """
    try:
        folder = str(Path.cwd())
    except OSError as error:
        raise click.ClickException(f"the current folder cannot be found: {error.strerror}; change to another") from None
    if sys.path[0] != folder:
        sys.path.insert(0, folder)
