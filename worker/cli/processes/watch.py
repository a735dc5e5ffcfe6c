"""`orchesty-worker processes watch`."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar

from worker.cli.options import json_option
from worker.cli.printing import say, say_json
from worker.cli.processes.look import SHOWN, filters
from worker.cli.processes.store import database_option, found, opened
from worker.cli.processes.tables import nodes_table, runs_table
from worker.cli.terminal import time_text
from worker.protocol.message import now_ms
from worker.runs.run import Run, RunState
from worker.runs.search import RunSearch, find_runs
from worker.runs.store import RunStore


@click.command(
    epilog="""\b
Examples:
  orchesty-worker processes watch
  orchesty-worker processes watch --state running --topology orders
  orchesty-worker processes watch 7f0c2b1e
"""
)
@click.argument("process_id", metavar="[PROCESS]", required=False)
@filters
@click.option("--every", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between looks.")
@json_option
@database_option
def watch(process_id: str | None, search: RunSearch, *, every: float, as_json: bool, database_url: str | None) -> None:
    """Watch processes until Ctrl-C, or one PROCESS until it ends.

    For one process the exit status is 0 if it finished, and 1 if messages failed or it was cancelled. With --json, and
    where the output is no terminal, each change is one line.
    """
    with opened(database_url) as store:
        if process_id is None:
            limited = replace(search, limit=SHOWN)
            _watch_many(lambda: find_runs(store, limited), every, as_json=as_json)
        else:
            run = follow(store, found(store, process_id).correlation_id, every, as_json=as_json)
            sys.exit(0 if run.state is RunState.FINISHED else 1)


def follow(store: RunStore, correlation_id: str, every: float, *, as_json: bool) -> Run:
    """Show a run until it has ended; return it."""
    with _screen(as_json=as_json) as live:
        last = None
        while True:
            run = found(store, correlation_id)
            if live is not None:
                live.update(_one(run), refresh=True)
            elif run != last:
                _say_change(run, as_json=as_json)
            if run.is_ended:
                return run
            last = run
            time.sleep(every)


def _screen(*, as_json: bool) -> AbstractContextManager[Live | None]:
    """Return what draws on a terminal; None where each change is a line."""
    is_drawn = sys.stdout.isatty() and not as_json
    return Live(console=Console(), auto_refresh=False) if is_drawn else nullcontext()


def _say_change(run: Run, *, as_json: bool) -> None:
    if as_json:
        say_json(run.document(now_ms()), indent=None)
    else:
        counts = f"{run.total} messages, {run.ok} done, {run.failed} failed, {run.open} open"
        say(f"{time_text(now_ms())}  {run.correlation_id}  {run.state.value}  {counts}")


def _one(run: Run) -> Group:
    bar = ProgressBar(total=max(run.total, 1), completed=run.total - run.open, width=60)
    return Group(runs_table([run], now_ms()), bar, nodes_table(run))


def _watch_many(find: Callable[[], Sequence[Run]], every: float, *, as_json: bool) -> None:
    """Show the newest runs, again and again."""
    with _screen(as_json=as_json) as live:
        before: dict[str, Run] = {}
        while True:
            runs = find()
            for run in runs if live is None else ():
                if before.get(run.correlation_id) != run:
                    _say_change(run, as_json=as_json)
            if live is not None:
                live.update(runs_table(runs, now_ms()), refresh=True)
            before = {run.correlation_id: run for run in runs}
            time.sleep(every)
