"""`orchesty-worker processes cancel`."""

import asyncio
import sys
from collections.abc import Sequence

import click

from worker.cli.options import amqp_option, json_option, trash_option
from worker.cli.printing import say, say_json
from worker.cli.processes.store import database_option, found, opened
from worker.cli.terminal import confirm
from worker.cli.trash.decide import carry_out
from worker.cli.trash.store import opened as opened_trash
from worker.runs.recorder import REFRESH_SECONDS
from worker.runs.run import Run
from worker.settings.settings import Settings, load_settings
from worker.trash.deciding import DecisionTally
from worker.trash.entry import EntryState, EntryType
from worker.trash.store import Search

KNOWN_SECONDS = 2 * REFRESH_SECONDS
"""After this all workers know of a cancel. A user task that is rejected before ends well, and the process may too."""


@click.command(
    epilog="""\b
Examples:
  orchesty-worker processes cancel 7f0c2b1e
  orchesty-worker processes cancel 7f0c2b1e 9d41aa02 --yes
  orchesty-worker processes list --user alice --state open --json | jq -r '.[].correlationId' |
    xargs orchesty-worker processes cancel --yes --json
"""
)
@click.argument("process_ids", metavar="PROCESS...", nargs=-1, required=True)
@click.option("--yes", "-y", "is_confirmed", is_flag=True, help="Do not ask.")
@json_option
@database_option
@trash_option
@amqp_option
def cancel(
    process_ids: tuple[str, ...],
    *,
    is_confirmed: bool,
    as_json: bool,
    database_url: str | None,
    trash_url: str | None,
    amqp_url: str | None,
) -> None:
    """Stop processes: their messages end wherever they are, and no more actions are called.

    Workers know within about a second. An action that is running may finish. A message that is parked for a repeat ends
    when it comes back. User tasks are rejected.
    """
    with opened(database_url) as store:
        runs = [found(store, own) for own in process_ids]
        messages = sum(run.open for run in runs)
        confirm(f"Cancel {len(runs)} process(es) with {messages:,} open messages?", is_confirmed=is_confirmed)
        ended = [run for run in runs if not store.cancel(run.correlation_id)]
    cancelling = [run for run in runs if run not in ended]
    if not as_json:
        _tell(ended, cancelling)
    settings = load_settings(database_url=database_url, trash_url=trash_url, amqp_url=amqp_url)
    rejected = _end_user_tasks(settings, [run.correlation_id for run in cancelling]) if cancelling else 0
    if as_json:
        ids = {"cancelling": cancelling, "hadEnded": ended}
        told = {name: [run.correlation_id for run in some] for name, some in ids.items()}
        say_json({**told, "userTasksRejected": rejected}, indent=None)
    elif rejected:
        say(f"{rejected:,} user task{'s' if rejected > 1 else ''} rejected")
    sys.exit(1 if ended else 0)


def _tell(ended: Sequence[Run], cancelling: Sequence[Run]) -> None:
    for run in ended:
        say(f"{run.correlation_id}: had ended already, {run.state.value}", err=True)
    for run in cancelling:
        say(f"{run.correlation_id}: cancelling, {run.open:,} open; what is parked ends when it comes back")


def _end_user_tasks(settings: Settings, runs: Sequence[str]) -> int:
    """Reject the user tasks of runs: else they would wait for a person. Return how many.

    Raises a `ClickException` that says how to.
    """
    by_hand = "\n".join(f"  orchesty-worker trash reject --process {run} --type userTask" for run in runs)
    try:
        tally = asyncio.run(_reject_user_tasks(settings, runs))
    except click.ClickException as error:
        raise click.ClickException(f"{error.message}\nUser tasks wait until they are rejected:\n{by_hand}") from None
    if left := len(tally.refused) + len(tally.untried):
        raise click.ClickException(f"{left:,} user tasks wait until they are rejected:\n{by_hand}")
    return len(tally.decided)


async def _reject_user_tasks(settings: Settings, runs: Sequence[str]) -> DecisionTally:
    async with opened_trash(settings) as trash:
        ids = [own for run in runs for own in await trash.ids(Search(process=run, type=EntryType.USER_TASK))]
        if not ids:
            return DecisionTally()
        await asyncio.sleep(KNOWN_SECONDS)
        return await carry_out(settings, trash, ids, EntryState.REJECTED)
