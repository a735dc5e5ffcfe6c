"""Runs as tables for people."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from worker.cli.printing import Listing
from worker.cli.terminal import time_text
from worker.runs.run import Run, RunState

STYLES = {
    RunState.RUNNING: "cyan",
    RunState.CANCELLING: "yellow",
    RunState.FINISHED: "green",
    RunState.FAILED: "red",
    RunState.CANCELLED: "yellow",
}
COUNTS = ("total", "ok", "failed", "cancelled", "open")
SHORT_ID = 8


def runs_table(runs: Sequence[Run], now: int) -> Table:
    """Return one line for each run, in 80 columns; `cancelled` is what the other counts leave of the total."""
    table = Listing(box=None, header_style="bold", padding=(0, 1, 0, 0))
    counts = [name for name in COUNTS if name != "cancelled"]
    has_users = any(run.user for run in runs)
    for head in ("process", "topology", *(["user"] if has_users else []), "state", "started (UTC)"):
        table.add_column(head, no_wrap=head not in {"topology", "user"}, overflow="fold")
    for head in ("took", *counts):
        table.add_column(head, justify="right", no_wrap=True)
    shown = _short_ids([run.correlation_id for run in runs])
    for run, own in zip(runs, shown, strict=True):
        names = [own, run.topology_name or run.topology_id, *([run.user] if has_users else [])]
        facts = [_day_text(run.started), took_text(run, now), *(f"{getattr(run, name):,}" for name in counts)]
        table.add_row(*(Text(name) for name in names), state_text(run), *(Text(fact) for fact in facts))
    return table


def nodes_table(run: Run) -> Table:
    """Return the counts of a run by node."""
    table = Listing(box=None, header_style="bold")
    table.add_column("node")
    for head in COUNTS:
        table.add_column(head, justify="right")
    for name, own in run.nodes.items():
        counts = (own.ok + own.failed + own.cancelled + own.open, own.ok, own.failed, own.cancelled, own.open)
        table.add_row(Text(name), *(f"{count:,}" for count in counts))
    return table


def state_text(run: Run) -> Text:
    """Return the state in its colour."""
    return Text(run.state.value, style=STYLES[run.state])


def _day_text(ms: int) -> str:
    """Return a time without its year, so that a line fits into 80 columns."""
    return time_text(ms).partition("-")[2]


def took_text(run: Run, now: int) -> str:
    """Return how long it took, or has taken so far."""
    seconds = run.milliseconds(now) / 1000
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _short_ids(ids: Sequence[str]) -> list[str]:
    """Return the ids cut to eight characters, or as they are where that would name two."""
    short = [own[:SHORT_ID] for own in ids]
    return [own if short.count(cut) > 1 else cut for own, cut in zip(ids, short, strict=True)]
