"""`orchesty-worker start`."""

import asyncio
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import click
from rich.console import Console

from worker.broker.link import Session
from worker.broker.publisher import Publisher
from worker.broker.run_watch import RunWatch
from worker.cli.accounts import limits_of
from worker.cli.broker import PATIENCE_SECONDS, connected, publish
from worker.cli.options import amqp_option, json_of, json_option, read_body, topology_option
from worker.cli.printing import say, say_json
from worker.cli.processes.store import opened_by
from worker.logs import configure_logs
from worker.modes.opening import open_mode
from worker.protocol import headers as h
from worker.protocol.message import encode
from worker.protocol.start import random_ids, start_headers
from worker.protocol.topology import ROUTING_KEY, Node
from worker.protocol.topology_file import load_topology
from worker.protocol.transport import Publication
from worker.runs.run import Run
from worker.runs.search import wait_for_end
from worker.settings.settings import Settings, load_settings
from worker.urls import shown_url


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages of a run ended how."""

    total: int
    succeeded: int
    failed: int
    cancelled: int = 0


@click.command(
    epilog="""\b
Examples:
  orchesty-worker start start --data '{"order": 17}' --wait
  orchesty-worker start fetch-orders --file order.json --user alice
"""
)
@click.argument("node")
@click.option("--data", help="The body of the message, as JSON (default: {}).")
@click.option("--file", type=click.File(encoding="utf-8"), help="Read any body from this file; - is standard input.")
@click.option("--user", help="The user (tenant) whose installs are used.")
@click.option("--sdk", default="", help="The registered name of the service whose installs are used.")
@click.option(
    "--wait", "is_waiting", is_flag=True, help="Wait for the run to end, and show its result (standalone mode)."
)
@json_option
@topology_option
@amqp_option
def start(
    node: str,
    data: str | None,
    file: IO[str] | None,
    user: str | None,
    sdk: str,
    *,
    is_waiting: bool,
    as_json: bool,
    topology_path: Path | None,
    amqp_url: str | None,
) -> None:
    """Start a process at NODE (id or name) of the topology."""
    if data is not None and file is not None:
        raise click.UsageError("give either --data or --file")
    settings = load_settings(topology=topology_path, amqp_url=amqp_url)
    if is_waiting and not open_mode(settings).shows_runs:
        raise click.UsageError("--wait works in standalone mode only; in platform mode see the platform's pages")
    configure_logs(settings)
    topology = load_topology(settings.topology)
    target = topology.node(node)
    body = read_body(file) if file else json_of(data)
    headers = start_headers(random_ids(), target, user, {h.SDK: sdk} if sdk else {})
    if user is not None and (limiter_key := asyncio.run(limits_of(settings, topology, user, sdk))):
        headers[h.LIMITER_KEY] = limiter_key
    counts = asyncio.run(_start(settings, target, headers, body, is_waiting=is_waiting))
    _show(headers, counts, as_json=as_json)
    sys.exit(1 if counts and (counts.failed or counts.cancelled) else 0)


async def _start(settings: Settings, node: Node, headers: h.Headers, body: str, *, is_waiting: bool) -> Counts | None:
    publisher = Publisher()
    message = Publication(node.exchange, ROUTING_KEY, encode(headers, body))
    if not is_waiting or settings.counts_processes:
        with Console(stderr=True).status("starting"):
            async with connected(settings, publisher.serve):
                await publish(publisher, [message])
        return await _ended(settings, headers[h.CORRELATION_ID]) if is_waiting else None
    with Console(stderr=True).status("starting") as status:
        watch = RunWatch(
            headers[h.CORRELATION_ID], lambda w: status.update(_progress(Counts(w.total, w.succeeded, w.failed)))
        )

        async def serve(session: Session) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(watch.serve(session))
                group.create_task(publisher.serve(session))

        async with connected(settings, serve):
            await _until_watching(watch)
            await publish(publisher, [message])
            await watch.wait()
    return Counts(watch.total, watch.succeeded, watch.failed)


async def _ended(settings: Settings, correlation_id: str) -> Counts:
    """Wait in the database for the end of a run."""
    with opened_by(settings) as store, Console(stderr=True).status("waiting for a worker") as status:
        run = await wait_for_end(store, correlation_id, lambda run: status.update(_looked_at(settings, run)))
    return Counts(run.total, run.ok, run.failed, run.cancelled)


def _looked_at(settings: Settings, run: Run | None) -> str:
    if run is None:
        return f"no worker that counts in {shown_url(settings.process_address)} has taken it yet"
    return _progress(Counts(run.total, run.ok, run.failed, run.cancelled))


async def _until_watching(watch: RunWatch) -> None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await watch.is_watching.wait()
    except TimeoutError:
        raise click.ClickException(
            f"no connection to the broker within {PATIENCE_SECONDS} s. Is WORKER_AMQP_URL right?"
        ) from None


def _progress(counts: Counts) -> str:
    ended = counts.succeeded + counts.failed + counts.cancelled
    cancelled = f", {counts.cancelled} cancelled" if counts.cancelled else ""
    return f"{ended} of {counts.total} messages done, {counts.failed} failed{cancelled}"


def _show(headers: h.Headers, counts: Counts | None, *, as_json: bool) -> None:
    facts = {"correlationId": headers[h.CORRELATION_ID], "processId": headers[h.PROCESS_ID]}
    if as_json:
        say_json(facts | (asdict(counts) if counts else {}), indent=None)
    else:
        say(f"started {facts['correlationId']}" + (f": {_progress(counts)}" if counts else ""))
