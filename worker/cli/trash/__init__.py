"""`orchesty-worker trash`."""

import click

from worker.cli.trash.collect import collect
from worker.cli.trash.decide import approve, reject
from worker.cli.trash.edit import edit
from worker.cli.trash.look import list_, show
from worker.cli.trash.purge import purge
from worker.cli.trash.transfer import export, import_


@click.group(
    epilog="""\b
Examples:
  orchesty-worker trash list --node fetch-orders --newer-than 2h
  orchesty-worker trash show 1f3a
  orchesty-worker trash edit 1f3a
  orchesty-worker trash approve 1f3a
  orchesty-worker trash approve --reason "503" --dry-run
"""
)
def trash() -> None:
    """Look at messages in the trash and at user tasks, mend them, and decide about them.

    Ids may be shortened as long as they are unique. Filters are combined: all of them have to fit.
    """


for _command in (approve, collect, edit, export, import_, list_, purge, reject, show):
    trash.add_command(_command)
