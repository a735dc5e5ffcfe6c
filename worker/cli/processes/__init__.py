"""`orchesty-worker processes`."""

import click

from worker.cli.processes.cancel import cancel
from worker.cli.processes.look import list_, show
from worker.cli.processes.watch import watch


@click.group(
    epilog="""\b
Examples:
  orchesty-worker processes list --state running
  orchesty-worker processes show 7f0c2b1e
  orchesty-worker processes watch
  orchesty-worker processes cancel 7f0c2b1e
"""
)
def processes() -> None:
    """Look at the runs of topologies, and stop them (standalone mode).

    A process is one run of a topology, named by its correlation id, which may be shortened as long as it is unique.
    """


for _command in (cancel, list_, show, watch):
    processes.add_command(_command)
