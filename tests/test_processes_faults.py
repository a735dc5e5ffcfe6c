"""The database of runs is away: messages wait, and nothing is lost or counted twice."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

import pytest
from conftest import MakeTopology, RunWorker
from support.databases import private_postgres
from support.queues import Queues
from support.runs import counts, ended_run, start_run
from support.topologies import pass_on, sink
from support.waiting import eventually

from deploy.databases import PrivatePostgres


@pytest.fixture
def postgres() -> Iterator[PrivatePostgres]:
    """A database that the test may stop and start."""
    with private_postgres() as server:
        yield server


async def test_messages_wait_while_the_database_is_away(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    postgres: PrivatePostgres,
    log_lines: Sequence[Mapping[str, Any]],
) -> None:
    topology = make_topology(pass_on("start", "a", "b"), pass_on("a"), pass_on("b"))
    await run_worker(topology, database_url=postgres.url)
    await start_run(queues, topology, "start", before := str(uuid4()))
    await ended_run(postgres.url, before)
    await asyncio.to_thread(postgres.stop)
    await start_run(queues, topology, "start", during := str(uuid4()))
    await eventually(lambda: any(line["event"] == "process_state_away" for line in log_lines), what="the log line")
    await asyncio.to_thread(postgres.start)
    assert counts(await ended_run(postgres.url, during)) == (3, 3, 0, 0, 0)
    assert counts(await ended_run(postgres.url, before)) == (3, 3, 0, 0, 0)


async def test_a_worker_that_stops_meanwhile_hands_its_messages_back(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, postgres: PrivatePostgres
) -> None:
    topology = make_topology(pass_on("start", "end"), pass_on("end"))
    url = postgres.url
    await asyncio.to_thread(postgres.stop)
    first = await run_worker(topology, database_url=url)
    await start_run(queues, topology, "start", run := str(uuid4()))
    await eventually(lambda: first.worker.in_work > 0, what="the message in work")
    first.worker.stop()
    await eventually(lambda: first.worker.in_work == 0, what="the message handed back")
    await asyncio.to_thread(postgres.start)
    await run_worker(topology, database_url=url)
    assert counts(await ended_run(url, run)) == (2, 2, 0, 0, 0)


async def test_a_folder_that_cannot_be_written_is_told_and_waited_for(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    tmp_path: Any,
    log_lines: Sequence[Mapping[str, Any]],
) -> None:
    blocker = tmp_path / "folder"
    blocker.write_text("a file where a folder belongs")
    topology = make_topology(pass_on("start", "sink"), sink())
    await run_worker(topology, database_url=f"sqlite:///{blocker}/runs.sqlite")
    await start_run(queues, topology, "start", str(uuid4()))
    await eventually(lambda: any(line["event"] == "process_state_away" for line in log_lines), what="the log line")
    blocker.unlink()
    await queues.read(topology.queue("sink"), 1)
