"""`orchesty-worker trash collect`."""

import asyncio
from pathlib import Path

import click

from worker.broker.delays import LOST, node_of
from worker.broker.one_shot import looking, queue_states, taken
from worker.cli.broker import address
from worker.cli.options import amqp_option, json_option, topology_option, trash_option
from worker.cli.printing import say, say_json
from worker.cli.terminal import progress
from worker.cli.trash.store import entries_text, opened
from worker.errors import BrokerError
from worker.settings.settings import Settings, load_settings
from worker.trash.making import lost_entry


@click.command(
    epilog="""\b
Examples:
  orchesty-worker trash collect
  orchesty-worker trash collect && orchesty-worker trash list --reason "queue was gone"
"""
)
@topology_option
@amqp_option
@trash_option
@json_option
def collect(topology_path: Path | None, amqp_url: str | None, trash_url: str | None, *, as_json: bool) -> None:
    """Collect messages whose node's queue was gone when they came back from a repeat or a limit.

    They are in the broker's queue orchesty-worker.delay.lost, which all topologies share. In the trash you can look at
    them, and approve them once their node is there again.
    """
    settings = load_settings(topology=topology_path, amqp_url=amqp_url, trash_url=trash_url)
    count = asyncio.run(_collect(settings))
    if as_json:
        say_json({"collected": count}, indent=None)
    elif count:
        say(f"{entries_text(count)} collected. See: orchesty-worker trash list")
    else:
        say("Nothing was lost.")


async def _collect(settings: Settings) -> int:
    """Return how many entries the trash has got."""
    count = 0
    try:
        async with opened(settings) as store, looking(address(settings)) as session:
            state = (await queue_states(session, [LOST]))[LOST]
            total = state.messages if state else 0
            with progress("collected", total) as bar:
                async for delivery in taken(session, LOST, total):
                    await store.add(lost_entry(delivery, node_of(delivery.routing_key)))
                    count += 1
                    bar.advance(bar.task_ids[0])
    except BrokerError as error:
        raise click.ClickException(f"{error}\nIs WORKER_AMQP_URL right?") from None
    return count
