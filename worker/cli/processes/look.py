"""`orchesty-worker processes list` and `show`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from typing import Any

import click
from rich.text import Text

from worker.cli.options import Age, json_option
from worker.cli.printing import say, say_json, say_table
from worker.cli.processes.store import database_option, found, opened
from worker.cli.processes.tables import COUNTS, nodes_table, runs_table, state_text, took_text
from worker.cli.terminal import time_text
from worker.protocol.message import now_ms
from worker.runs.run import ENDED, RunState
from worker.runs.search import RunSearch, find_runs
from worker.settings.settings import load_settings
from worker.urls import shown_url

SHOWN = 50
OPEN = frozenset(RunState) - ENDED
STATES = {"open": OPEN, "ended": ENDED, **{state.value: frozenset({state}) for state in RunState}}

_OPTIONS = (
    click.option(
        "--state",
        type=click.Choice(list(STATES)),
        help="State of the processes; open is running or cancelling, ended is finished, failed or cancelled.",
    ),
    click.option("--topology", default="", help="Id or name of a topology."),
    click.option("--user", default="", help="A user (tenant)."),
    click.option("--since", type=Age(), metavar="AGE", help="Started within this time: 45m, 2h, 3d."),
)


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters; it gets them as one argument `search`."""

    @wraps(command)
    def with_search(*, state: str | None, topology: str, user: str, since: timedelta | None, **options: Any) -> Any:
        after = None if since is None else now_ms() - int(since.total_seconds() * 1000)
        search = RunSearch(STATES[state] if state else frozenset(), topology, user, after)
        return command(search=search, **options)

    for option in reversed(_OPTIONS):
        with_search = option(with_search)
    return with_search


@click.command(
    "list",
    epilog="""\b
Examples:
  orchesty-worker processes list --state failed --since 2h
  orchesty-worker processes list --topology orders --user alice
  orchesty-worker processes list --json | jq -r '.[].correlationId'
""",
)
@filters
@click.option(
    "--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="How many of the newest to list."
)
@json_option
@database_option
def list_(search: RunSearch, *, limit: int, as_json: bool, database_url: str | None) -> None:
    """List processes, newest last."""
    with opened(database_url) as store:
        runs = find_runs(store, replace(search, limit=limit))
    if as_json:
        say_json([run.document(now_ms()) for run in runs])
    elif runs:
        say_table(runs_table(runs, now_ms()))
    else:
        where = shown_url(load_settings(database_url=database_url).process_address)
        say(f"No process yet in {where}." if search == RunSearch() else "Nothing matches.")


@click.command(
    epilog="""\b
Examples:
  orchesty-worker processes show 7f0c2b1e
  orchesty-worker processes show 7f0c2b1e --json
"""
)
@click.argument("process_id", metavar="PROCESS")
@json_option
@database_option
def show(process_id: str, *, as_json: bool, database_url: str | None) -> None:
    """Show a process: its totals, and the ended and open messages of each node."""
    with opened(database_url) as store:
        run = found(store, process_id)
    now = now_ms()
    if as_json:
        say_json(run.document(now))
        return
    facts = {
        "process": run.correlation_id,
        "topology": f"{run.topology_name} ({run.topology_id})",
        "user": run.user,
        "started": f"{time_text(run.started)} UTC",
        "ended": f"{time_text(run.ended)} UTC" if run.ended is not None else "",
        "took": took_text(run, now),
        "messages": ", ".join(f"{getattr(run, name):,} {name}" for name in COUNTS),
    }
    say_table(Text.assemble("  state     ", state_text(run)))
    for name, value in facts.items():
        if value:
            say(f"  {name:9} {value}")
    say_table(nodes_table(run))
    if run.failed:
        say(f"Failed messages are in the trash: orchesty-worker trash list --process {run.correlation_id}")
