"""The database of runs is away: messages wait, and nothing is lost or counted twice."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

import pytest
from conftest import MakeTopology, RunWorker
from support.databases import private_postgres
from support.queues import Queues
from support.runs import counts, ended_run, start_run, until_run
from support.topologies import custom_node, pass_on, sink
from support.waiting import eventually

from connectors import CustomNode, Message, Trash
from deploy.databases import PrivatePostgres
from worker.runs.run import RunState


class RefuseOnce(CustomNode[Any, Any]):
    """Sends the first message to the trash and lets the others pass."""

    name = "refuse-once"
    has_refused = False

    async def process(self, message: Message[Any]) -> Message[Any]:
        if not self.has_refused:
            self.has_refused = True
            raise Trash("no stock")
        return message


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


async def test_what_is_approved_is_open_in_the_database_before_it_is_sent_on(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    postgres: PrivatePostgres,
    log_lines: Sequence[Mapping[str, Any]],
) -> None:
    topology = make_topology(custom_node("start", "refuse-once", "sink"), sink())
    worker = await run_worker(topology, RefuseOnce(), database_url=postgres.url)
    await start_run(queues, topology, "start", run := str(uuid4()))
    assert (await ended_run(postgres.url, run)).state is RunState.FAILED
    await asyncio.to_thread(postgres.stop)
    await worker.command("trash", "approve", "--all", "--yes")
    away = logged(log_lines, "process_state_away")
    await eventually(lambda: len(logged(log_lines, "process_state_away")) > len(away) + 1, what="two attempts")
    assert await queues.length(topology.queue("sink")) == 0

    await asyncio.to_thread(postgres.start)
    await queues.read(topology.queue("sink"), 1)
    again = await until_run(postgres.url, run, lambda one: one.ok == 1)
    assert (again.state, counts(again)) == (RunState.RUNNING, (2, 1, 0, 0, 1))


def logged(log_lines: Sequence[Mapping[str, Any]], event: str) -> list[Mapping[str, Any]]:
    return [line for line in log_lines if line["event"] == event]


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
    url, run = f"sqlite:///{blocker}/runs.sqlite", str(uuid4())
    await run_worker(topology, database_url=url)
    await start_run(queues, topology, "start", run)
    await eventually(lambda: any(line["event"] == "process_state_away" for line in log_lines), what="the log line")
    blocker.unlink()
    await queues.read(topology.queue("sink"), 1)
    assert counts(await until_run(url, run, lambda one: one.ok == 1)) == (2, 1, 0, 0, 1)
