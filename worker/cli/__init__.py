"""The command `orchesty-worker`."""

import sys
from typing import Any

import click

from worker.cli.tree import COMMANDS
from worker.errors import StartupError
from worker.visible import printable_lines


class Cli(click.Group):
    """Prints what commands say of an error as it prints all else."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError:  # of the caller's own words
            raise
        except click.ClickException as error:
            raise click.ClickException(printable_lines(error.format_message())) from None


@click.group(
    cls=Cli, commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="orchesty-worker")
def cli() -> None:
    """Run the nodes of an Orchesty topology, and look after their messages.

    Settings come from the environment (WORKER_*; see docs/settings.md). Options take precedence.

    Exit status: 0 done, 1 failed, 2 wrong usage, settings, topology or actions.
    """


def main() -> None:
    """Run the command line; wrong settings end it with status 2 and a text that names the cure."""
    try:
        cli(prog_name="orchesty-worker")
    except StartupError as error:
        click.echo(printable_lines(f"orchesty-worker: {error}"), err=True)
        sys.exit(2)
