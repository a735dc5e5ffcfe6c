"""`orchesty-worker processes cancel`."""

import sys

import click

from worker.cli.processes.store import database_option, found, opened


@click.command(
    epilog="""\b
Examples:
  orchesty-worker processes cancel 7f0c2b1e
  orchesty-worker processes cancel 7f0c2b1e 9d41aa02 --yes
"""
)
@click.argument("process_ids", metavar="PROCESS...", nargs=-1, required=True)
@click.option("--yes", "-y", "is_confirmed", is_flag=True, help="Do not ask.")
@database_option
def cancel(process_ids: tuple[str, ...], *, is_confirmed: bool, database_url: str | None) -> None:
    """Stop processes: their messages end wherever they are, and no action is called any more.

    Workers know within about a second. An action that runs is left to finish. What is parked for a repeat ends when it
    comes back.
    """
    with opened(database_url) as store:
        runs = [found(store, own) for own in process_ids]
        if not is_confirmed and sys.stdin.isatty():
            messages = sum(run.open for run in runs)
            click.confirm(f"Cancel {len(runs)} process(es) with {messages:,} open messages?", abort=True)
        ended = [run for run in runs if not store.cancel(run.correlation_id)]
    for run in runs:
        note = (
            f"{run.correlation_id}: had ended, {run.state.value}"
            if run in ended
            else f"{run.correlation_id}: cancelling"
        )
        click.echo(note, err=run in ended)
    sys.exit(1 if ended else 0)
