"""What the worker does with runs that have ended: it folds their messages, and one day it deletes them."""

from contextlib import closing
from uuid import uuid4

import pytest
from conftest import MakeTopology, RunWorker
from sqlalchemy import event, func, select, update
from support.databases import MakeDatabase
from support.queues import Queues
from support.runs import counts, ended_run, run_in, start_run
from support.topologies import pass_on
from support.visits import node, visit
from support.waiting import eventually

from worker.protocol.identity import SentMessage, first_step, next_step
from worker.protocol.message import now_ms
from worker.runs import housekeeping
from worker.runs.records import record
from worker.runs.run import MessageState
from worker.runs.search import get_runs
from worker.runs.store import RunStore
from worker.runs.tables import messages, runs


def put_down(url: str, run: str, *, ended: int) -> None:
    """Put a run into the database that ended at this time."""
    at = visit(node(), **{"worker-step": first_step("n1", run), "correlation-id": run})
    with closing(RunStore(url)) as store:
        store.write([record(at, MessageState.OK, [])])
        with store.transaction(is_writing=True) as connection:
            connection.execute(update(runs).values(ended=ended))


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker tidy all the time."""
    monkeypatch.setattr(housekeeping, "EVERY_SECONDS", 0.05)


async def test_the_messages_of_a_run_that_has_ended_are_folded_and_the_run_stays(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "LATE_MS", 0)
    topology, run = make_topology(pass_on("start", "a", "b"), pass_on("a"), pass_on("b")), str(uuid4())
    await run_worker(topology, process_keep_days=0)
    await start_run(queues, topology, "start", run)
    ended = await ended_run(topology.state_url, run)

    with closing(RunStore(topology.state_url)) as store:

        def is_folded() -> bool:
            with store.transaction() as connection:
                return connection.execute(select(func.count()).select_from(messages)).scalar() == 1

        await eventually(is_folded, what="only the first message, by which late duplicates are known")
    assert counts(ended) == (3, 3, 0, 0, 0)
    assert run_in(topology.state_url, run) == ended


async def test_a_run_is_deleted_when_its_days_are_over(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology, old, new = make_topology(pass_on("start", "a"), pass_on("a")), str(uuid4()), str(uuid4())
    put_down(topology.state_url, old, ended=now_ms() - 2 * housekeeping.DAY_MS)
    await run_worker(topology, process_keep_days=1)
    await start_run(queues, topology, "start", new)
    await ended_run(topology.state_url, new)
    await eventually(lambda: run_in(topology.state_url, old) is None, what="the end of the old run")
    assert run_in(topology.state_url, new) is not None


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_run_whose_messages_are_folded_meanwhile_is_read_whole(make_database: MakeDatabase, kind: str) -> None:
    url, run = make_database(kind), str(uuid4())
    first = first_step("n1", run)
    second = next_step(first, "n2", 0)
    with closing(RunStore(url)) as store, closing(RunStore(url)) as other:
        for step, sent in ((first, [SentMessage(second, "n2")]), (second, [])):
            at = visit(node(id="n1" if sent else "n2"), **{"worker-step": step, "correlation-id": run})
            store.write([record(at, MessageState.OK, sent)])
        before = get_runs(store, run)

        def fold(_: object, __: object, statement: str, *___: object) -> None:
            if statement.startswith("SELECT process_run.") and not folded:
                folded.append(other.compact(now_ms() + 1))

        folded: list[int] = []
        event.listen(store._engine, "after_cursor_execute", fold)
        assert get_runs(store, run) == before
    assert folded == [1]
    assert sum(count.ok for count in before[0].nodes.values()) == 2
