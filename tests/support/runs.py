"""Runs of the tests: started by hand, and looked at in the database."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from support.queues import ProcessMessage, Queues
from support.topologies import TopologyFile
from support.waiting import eventually
from worker.runs.run import NodeCounts, Run
from worker.runs.search import RunSearch, find_runs, get_runs
from worker.runs.store import RunStore

SECONDS = 30


async def start_run(queues: Queues, topology: TopologyFile, node: str, run: str, body: Any = None) -> None:
    """Publish the first message of a run."""
    headers = {"correlation-id": run, "process-id": f"{run}-first", "parent-id": ""}
    await queues.publish(topology.exchange(node), ProcessMessage(headers, json.dumps(body or {})))


def runs_in(url: str) -> Sequence[Run]:
    """Return all runs."""
    with closing(RunStore(url)) as store:
        return find_runs(store, RunSearch())


def run_in(url: str, run: str) -> Run | None:
    """Return one run with its nodes."""
    with closing(RunStore(url)) as store:
        return next(iter(get_runs(store, run)), None)


async def ended_run(url: str, run: str, *, seconds: float = SECONDS) -> Run:
    """Wait until a run has ended."""
    return await until_run(url, run, lambda one: one.is_ended, seconds=seconds)


async def until_run(url: str, run: str, fits: Callable[[Run], bool], *, seconds: float = SECONDS) -> Run:
    """Wait until a run is as it shall be."""
    with closing(RunStore(url)) as store:

        async def fitting() -> Run | None:
            one = next(iter(await asyncio.to_thread(get_runs, store, run)), None)
            return one if one is not None and fits(one) else None

        return await eventually(fitting, seconds=seconds, what=f"run {run} as wanted")


def counts(run: Run) -> tuple[int, int, int, int, int]:
    """Return total, ok, failed, cancelled, open."""
    return run.total, run.ok, run.failed, run.cancelled, run.open


def ok(count: int) -> NodeCounts:
    """Return the counts of a node where all went well."""
    return NodeCounts(ok=count)
