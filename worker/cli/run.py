"""`orchesty-worker run`."""

import asyncio
import sys
from pathlib import Path

import click
import uvloop

from worker.cli.options import amqp_option, topology_option, trash_option
from worker.logs import configure_logs
from worker.process import Worker, run_until_signal
from worker.settings import load_settings


@click.command(
    epilog="""\b
Examples:
  orchesty-worker run --topology topology.json --actions my_package.actions
  WORKER_NODES=fetch-orders WORKER_HTTP_PORT=8001 orchesty-worker run
"""
)
@topology_option
@amqp_option
@click.option("--mode", type=click.Choice(["standalone", "platform"]), help="[env: WORKER_MODE]")
@click.option("--nodes", help="Only these nodes: ids or names, comma-separated.  [env: WORKER_NODES]")
@click.option(
    "--actions", multiple=True, help="Module or package with actions; may be repeated.  [env: WORKER_ACTIONS]"
)
@click.option("--http-port", type=int, help="[env: WORKER_HTTP_PORT]")
@trash_option
def run(
    topology_path: Path | None,
    amqp_url: str | None,
    mode: str | None,
    nodes: str | None,
    actions: tuple[str, ...],
    http_port: int | None,
    trash_url: str | None,
) -> None:
    """Consume the nodes of a topology until SIGTERM or Ctrl-C.

    The first signal lets the messages in work finish (WORKER_GRACE), a second one ends at once.
    """
    settings = load_settings(
        topology=topology_path,
        amqp_url=amqp_url,
        mode=mode,
        nodes=nodes,
        actions=actions or None,
        http_port=http_port,
        trash_url=trash_url,
    )
    configure_logs(settings)

    async def work() -> int:
        return await run_until_signal(Worker(settings))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(work()))
