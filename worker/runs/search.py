"""Looking at runs."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, func, or_, select
from sqlalchemy.engine import RowMapping

from worker.runs.run import MessageState, NodeCounts, Run, RunState
from worker.runs.store import RunStore
from worker.runs.tables import messages, nodes, runs

BEGINNING = "(first message)"
"""In place of the node of a first message that has sent others on, and has not told of itself yet."""


@dataclass(frozen=True, slots=True)
class RunSearch:
    """All of these have to fit; what is empty fits everything."""

    states: frozenset[RunState] = frozenset()
    topology: str = ""
    """Id or name."""
    user: str = ""
    started_after: int | None = None
    """ms since the epoch."""
    limit: int | None = None
    """The newest ones."""


def find_runs(store: RunStore, search: RunSearch) -> Sequence[Run]:
    """Return the runs that fit, oldest first. Raises `StoreError` while the database is away."""
    query = select(runs).where(*_conditions(search)).order_by(runs.c.number.desc()).limit(search.limit)
    with store.transaction() as connection:
        found = [run_of(row) for row in connection.execute(query).mappings()]
    return found[::-1]


def get_runs(store: RunStore, reference: str) -> Sequence[Run]:
    """Return the runs, at most two, whose correlation id is this or begins so, with the counts of their nodes."""
    exact = select(runs).where(runs.c.correlation_id == reference)
    prefix = select(runs).where(runs.c.correlation_id.startswith(reference, autoescape=True)).limit(2)
    with store.snapshot() as connection:  # messages are folded into their runs meanwhile
        rows = connection.execute(exact).mappings().all() or connection.execute(prefix).mappings().all()
        return [replace(run_of(row), nodes=nodes_of(connection, row)) for row in rows] if reference else []


def _conditions(search: RunSearch) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if search.states:
        wanted.append(runs.c.state.in_(search.states))
    if search.topology:
        wanted.append(or_(runs.c.topology_id == search.topology, runs.c.topology_name == search.topology))
    if search.user:
        wanted.append(runs.c.user == search.user)
    if search.started_after is not None:
        wanted.append(runs.c.started > search.started_after)
    return wanted


def nodes_of(connection: Connection, row: RowMapping) -> Mapping[str, NodeCounts]:
    """Return a run's counts by node, of the messages that are there and of those that were folded."""
    counts: dict[str, NodeCounts] = {}
    own = messages.c.run == row["number"]
    grouped = select(messages.c.node, messages.c.state, func.count()).where(own)
    for node, state, count in connection.execute(grouped.group_by(messages.c.node, messages.c.state)):
        counts.setdefault(node, NodeCounts()).add(MessageState(state), count)
    for node, folded in json.loads(row["folded"] or "{}").items():
        for state, count in folded.items():
            counts.setdefault(node, NodeCounts()).add(MessageState(int(state)), count)
    names = _names(connection, counts)
    return {_label(names, node): counts[node] for node in sorted(counts, key=lambda node: (names.get(node, ""), node))}


def _names(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    query = select(nodes.c.id, nodes.c.name).where(nodes.c.id.in_(list(ids)))
    return {row.id: row.name for row in connection.execute(query)}


def _label(names: Mapping[str, str], node: str) -> str:
    name = names.get(node) or node or BEGINNING
    is_alone = sum(other == name for other in names.values()) <= 1
    return name if is_alone else f"{name} ({node})"


def run_of(row: RowMapping) -> Run:
    """Return the run of a row, without its nodes."""
    same = ("correlation_id", "topology_id", "topology_name", "user", "started", "ended")
    counts = ("total", "ok", "failed", "cancelled")
    return Run(**{name: row[name] for name in (*same, *counts)}, state=RunState(row["state"]))


LOOK_SECONDS = 0.3


async def wait_for_end(store: RunStore, correlation_id: str, on_look: Callable[[Run | None], None]) -> Run:
    """Return the run when it has ended; `on_look` gets it about every third of a second, None while nobody counts it.

    Raises `StoreError` while the database is away.
    """
    while True:
        run = next(iter(await asyncio.to_thread(get_runs, store, correlation_id)), None)
        on_look(run)
        if run is not None and run.is_ended:
            return run
        await asyncio.sleep(LOOK_SECONDS)
