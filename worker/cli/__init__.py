"""The command `orchesty-worker`."""

import sys
from pathlib import Path

import click

from worker.cli.actions import actions
from worker.cli.applications import applications
from worker.cli.check import check
from worker.cli.installs import installs
from worker.cli.limits import limits
from worker.cli.new import new
from worker.cli.processes import processes
from worker.cli.run import run
from worker.cli.secrets import secrets
from worker.cli.settings import settings
from worker.cli.start import start
from worker.cli.storage import storage
from worker.cli.topology import topology
from worker.cli.trash import trash
from worker.cli.webhooks import webhooks
from worker.errors import StartupError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="orchesty-worker")
def cli() -> None:
    r"""Run the nodes of an Orchesty topology, and look after their messages.

    Settings come from the environment (WORKER_*; see docs/settings.md); options win over them.

    \b
    Exit status: 0 done, 1 failed, 2 wrong usage, settings, topology or actions.
    """


_COMMANDS = (
    actions,
    applications,
    check,
    installs,
    limits,
    new,
    processes,
    run,
    secrets,
    settings,
    start,
    storage,
    topology,
    trash,
    webhooks,
)
for _command in _COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """Run the command line; wrong settings end it with status 2 and a text that names the cure."""
    sys.path.insert(0, str(Path.cwd()))  # --actions names modules of the folder that one stands in
    try:
        cli(prog_name="orchesty-worker")
    except StartupError as error:
        click.echo(f"orchesty-worker: {error}", err=True)
        sys.exit(2)
