"""`orchesty-worker start`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import IO
from uuid import uuid4

import click
from rich.console import Console

from worker import headers as h
from worker.broker import Publication, Publisher, Session
from worker.cli.accounts import limits_of
from worker.cli.broker import PATIENCE_SECONDS, connected, publish
from worker.cli.options import amqp_option, json_option, topology_option
from worker.envelope import encode
from worker.logs import configure_logs
from worker.run_watch import RunWatch
from worker.settings import Mode, Settings, load_settings
from worker.topology import ROUTING_KEY, Node, load_topology
from worker.visit import now_ms


@click.command(
    epilog="""\b
Examples:
  orchesty-worker start start --data '{"order": 17}' --wait
  orchesty-worker start fetch-orders --file order.json --user alice
"""
)
@click.argument("node")
@click.option("--data", help="The body of the message (default: {}).")
@click.option("--file", type=click.File(), help="Read the body from this file; - is standard input.")
@click.option("--user", help="Tenant whose application installs are used.")
@click.option("--wait", "is_waiting", is_flag=True, help="Wait for the end of the run and show it (standalone mode).")
@json_option
@topology_option
@amqp_option
def start(
    node: str,
    data: str | None,
    file: IO[str] | None,
    user: str | None,
    *,
    is_waiting: bool,
    as_json: bool,
    topology_path: Path | None,
    amqp_url: str | None,
) -> None:
    """Start a process at NODE (id or name) of the topology."""
    if data is not None and file is not None:
        raise click.UsageError("give --data or --file, not both")
    settings = load_settings(topology=topology_path, amqp_url=amqp_url)
    if is_waiting and settings.mode is Mode.PLATFORM:
        raise click.UsageError("--wait works in standalone mode; in the platform, its own pages show the run")
    configure_logs(settings)
    topology = load_topology(settings.topology)
    target = topology.node(node)
    body = file.read() if file else data or "{}"
    headers = start_headers(target, user)
    if user is not None and (limiter_key := asyncio.run(limits_of(settings, topology, user))):
        headers[h.LIMITER_KEY] = limiter_key
    watch = asyncio.run(_start(settings, target, headers, body, is_waiting=is_waiting))
    _show(headers, watch, as_json=as_json)
    sys.exit(1 if watch and watch.failed else 0)


def start_headers(node: Node, user: str | None) -> h.Headers:
    """Return the headers of a new run's first message."""
    headers: h.Headers = {
        h.CORRELATION_ID: str(uuid4()),
        h.PROCESS_ID: str(uuid4()),
        h.PARENT_ID: "",
        h.TOPOLOGY_ID: node.topology_id,
        "topology-name": node.topology_name,
        "content-type": "application/json",
        "process-started": now_ms(),
    }
    if user is not None:
        headers[h.USER] = user
    return headers


async def _start(settings: Settings, node: Node, headers: h.Headers, body: str, *, is_waiting: bool) -> RunWatch | None:
    publisher = Publisher()
    message = Publication(node.exchange, ROUTING_KEY, encode(headers, body))
    if not is_waiting:
        with Console(stderr=True).status("starting"):
            async with connected(settings, publisher.serve):
                await publish(publisher, [message])
        return None
    with Console(stderr=True).status("starting") as status:
        watch = RunWatch(headers[h.CORRELATION_ID], lambda w: status.update(_progress(w)))

        async def serve(session: Session) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(watch.serve(session))
                group.create_task(publisher.serve(session))

        async with connected(settings, serve):
            await _until_watching(watch)
            await publish(publisher, [message])
            await watch.wait()
    return watch


async def _until_watching(watch: RunWatch) -> None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await watch.is_watching.wait()
    except TimeoutError:
        raise click.ClickException(
            f"no connection to the broker within {PATIENCE_SECONDS} s. Is WORKER_AMQP_URL right?"
        ) from None


def _progress(watch: RunWatch) -> str:
    return f"{watch.succeeded + watch.failed} of {watch.total} messages done, {watch.failed} failed"


def _show(headers: h.Headers, watch: RunWatch | None, *, as_json: bool) -> None:
    facts = {"correlationId": headers[h.CORRELATION_ID], "processId": headers[h.PROCESS_ID]}
    if as_json:
        counts = {"total": watch.total, "succeeded": watch.succeeded, "failed": watch.failed} if watch else {}
        click.echo(json.dumps(facts | counts))
    else:
        click.echo(f"started {facts['correlationId']}" + (f": {_progress(watch)}" if watch else ""))
