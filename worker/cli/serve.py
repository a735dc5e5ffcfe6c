"""`orchesty-worker serve`."""

import asyncio
import sys

import click
import uvloop

from worker.app.ending import LEAVE_SECONDS, HardEnd
from worker.app.process import run_until_signal
from worker.app.serving import ServiceProcess
from worker.cli.action_options import actions_option
from worker.logs import configure_logs
from worker.output import never_wait
from worker.settings.settings import Settings, load_settings


@click.command(
    epilog="""\b
Examples:
  orchesty-worker serve --actions my_package.actions
  WORKER_SERVICE_PREFIX=/k2n8fq orchesty-worker serve --actions shop --http-port 8080
"""
)
@actions_option
@click.option("--grace", type=float, help="Seconds to finish after the first signal.  [env: WORKER_GRACE]")
@click.option("--http-host", help="Address to listen on.  [env: WORKER_HTTP_HOST]")
@click.option("--http-port", type=int, help="[env: WORKER_HTTP_PORT]")
def serve(actions: tuple[str, ...], grace: float | None, http_host: str | None, http_port: int | None) -> None:
    """Answer an Orchesty installation as a service: register it there by name and URL.

    The installation lists the actions and applications, and calls the actions over HTTP. No topology and no broker is
    needed. Loopback and private networks may call; WORKER_SERVICE_ALLOW names others.
    """
    settings = load_settings(actions=actions or None, grace=grace, http_host=http_host, http_port=http_port)
    never_wait()
    configure_logs(settings)
    sys.exit(_run(settings, HardEnd()))


def _run(settings: Settings, end: HardEnd) -> int:
    async def answer() -> int:
        return await run_until_signal(ServiceProcess(settings), end)

    status = 1
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            status = runner.run(answer())
        finally:
            end.within(LEAVE_SECONDS, status)
    return status
