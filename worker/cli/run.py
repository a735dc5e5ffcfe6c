"""`orchesty-worker run`."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import structlog
import uvloop

from worker.app.ending import LEAVE_SECONDS, HardEnd
from worker.app.process import Worker, run_until_signal
from worker.cli.options import amqp_option, topology_option, trash_option
from worker.logs import configure_logs
from worker.output import never_wait
from worker.protocol.topology import Topology
from worker.protocol.topology_file import load_topology
from worker.settings.environment import unknown_variables
from worker.settings.settings import Settings, load_settings
from worker.supervisor.lifeline import on_supervisor_lost
from worker.supervisor.supervisor import Supervisor, supervise_until_signal
from worker.urls import UNIX

log = structlog.get_logger()


@click.command(
    epilog="""\b
Examples:
  orchesty-worker run --topology topology.json --actions my_package.actions
  orchesty-worker run --actions shop --stages shop.tracing:traced
  orchesty-worker run --processes 4 --grace 60
  orchesty-worker run --actions shop --reload
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
@click.option(
    "--stages", multiple=True, help="A stage of your own, module:name; may be repeated.  [env: WORKER_STAGES]"
)
@click.option("--processes", type=int, help="Worker processes on this machine.  [env: WORKER_PROCESSES]")
@click.option("--grace", type=float, help="Seconds to finish after the first signal.  [env: WORKER_GRACE]")
@click.option("--http-port", type=int, help="[env: WORKER_HTTP_PORT]")
@trash_option
@click.option("--reload", "is_reloading", is_flag=True, help="Restart when you edit the actions or the topology file.")
@click.option("--supervised", type=(int, int), hidden=True)
def run(
    topology_path: Path | None,
    amqp_url: str | None,
    mode: str | None,
    nodes: str | None,
    actions: tuple[str, ...],
    stages: tuple[str, ...],
    processes: int | None,
    grace: float | None,
    http_port: int | None,
    trash_url: str | None,
    *,
    is_reloading: bool,
    supervised: tuple[int, int] | None,
) -> None:
    """Consume the nodes of a topology until SIGTERM or Ctrl-C.

    After the first signal the messages in work may finish (WORKER_GRACE); a second one ends the worker at once.

    With --processes a supervisor starts that many workers, restarts one that dies, and answers HTTP for all of them.
    """
    settings = load_settings(
        topology=topology_path,
        amqp_url=amqp_url,
        mode=mode,
        nodes=nodes,
        actions=actions or None,
        stages=stages or None,
        processes=processes,
        grace=grace,
        http_port=http_port,
        trash_url=trash_url,
    )
    never_wait()
    configure_logs(settings)
    end = HardEnd()
    sys.exit(_run(_chosen(settings, end, supervised, is_reloading=is_reloading), end))


def _run(chosen: Callable[[], Coroutine[Any, Any, int]], end: HardEnd) -> int:
    """Run it to its end, and leave behind what does not end."""
    status = 1
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            status = runner.run(chosen())
        finally:
            end.within(LEAVE_SECONDS, status)
    return status


def _chosen(
    settings: Settings, end: HardEnd, supervised: tuple[int, int] | None, *, is_reloading: bool
) -> Callable[[], Coroutine[Any, Any, int]]:
    if supervised is not None:
        return lambda: _work_supervised(settings, end, *supervised)
    _warn_of_unknown_variables()
    if settings.processes > 1 or is_reloading:
        topology = load_topology(settings.topology)
        topology.select(settings.nodes)  # wrong ones are told once, not by every process
        _tell_guesses(topology)
        return lambda: supervise_until_signal(Supervisor(settings, is_reloading=is_reloading))
    return lambda: _work(settings, end)


async def _work(settings: Settings, end: HardEnd) -> int:
    worker = _made(settings)
    _tell_guesses(worker.parts.topology)
    return await run_until_signal(worker, end)


async def _work_supervised(settings: Settings, end: HardEnd, number: int, lifeline: int) -> int:
    structlog.contextvars.bind_contextvars(worker=number)
    worker = _made(settings)
    is_alone = on_supervisor_lost(lifeline, worker.stop)
    try:
        return await run_until_signal(worker, end)
    finally:
        if is_alone.is_set():
            _remove_socket(Path(settings.http_host.removeprefix(UNIX)))


def _made(settings: Settings) -> Worker:
    """Make the worker.

    What is in memory by then stays there, so the garbage collector skips it. Looking at it would stop all messages for
    60 ms each time.
    """
    worker = Worker(settings)
    gc.collect()
    gc.freeze()
    return worker


def _remove_socket(socket: Path) -> None:
    """Clean up in place of a supervisor that is gone."""
    with suppress(OSError):
        socket.unlink(missing_ok=True)
        socket.parent.rmdir()


def _tell_guesses(topology: Topology) -> None:
    if topology.guesses:
        log.info("editor_file_taken", topologyName=topology.name, **topology.guesses)


def _warn_of_unknown_variables() -> None:
    for variable in unknown_variables(os.environ):
        hint = f"did you mean {variable.closest}?" if variable.closest else "see: orchesty-worker settings"
        log.warning("unknown_variable", variable=variable.name, hint=hint)
