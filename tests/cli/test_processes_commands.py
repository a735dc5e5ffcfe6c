"""`orchesty-worker processes`: what people see of runs, and do about them."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from conftest import MakeTopology, RunWorker
from support.queues import Queues
from support.runs import ended_run, start_run, until_run
from support.topologies import NodeEntry, TopologyFile, custom_node, pass_on, sink
from support.waiting import eventually
from support.workers import InProcess

from connectors import CustomNode, Message, Trash
from worker.runs.run import Run, RunState


class FailOdd(CustomNode[Any, Any]):
    """Sends odd numbers to the trash."""

    name = "fail-odd"

    async def process(self, message: Message[Any]) -> Message[Any]:
        if message.data["number"] % 2:
            raise Trash("odd")
        return message


@pytest.fixture
async def worker(make_topology: MakeTopology, run_worker: RunWorker) -> tuple[TopologyFile, InProcess]:
    topology = make_topology(
        pass_on("start", "check", "end"),
        custom_node("check", "fail-odd"),
        pass_on("end"),
        pass_on("stay", "out"),
        sink("out"),
    )
    return topology, await run_worker(topology, FailOdd())


async def three_runs(queues: Queues, topology: TopologyFile) -> tuple[Run, Run, Run]:
    """Start one that finishes, one that fails, and one that stays open."""
    ids = [str(uuid4()) for _ in range(3)]
    for number, (node, own) in enumerate(zip(("start", "start", "stay"), ids, strict=True)):
        await start_run(queues, topology, node, own, {"number": number})
    url = topology.state_url
    finished, failed = [await ended_run(url, own) for own in ids[:2]]
    return finished, failed, await until_run(url, ids[2], lambda run: run.ok == 1)


async def test_runs_are_listed_by_what_one_looks_for(worker: tuple[TopologyFile, InProcess], queues: Queues) -> None:
    topology, process = worker
    assert "No process yet in sqlite:///" in await process.command("processes", "list")
    finished, failed, running = await three_runs(queues, topology)

    async def listed(*options: str) -> set[str]:
        found = json.loads(await process.command("processes", "list", "--json", *options))
        return {run["correlationId"] for run in found}

    every = {run.correlation_id for run in (finished, failed, running)}
    assert await listed("--since", "1h", "--topology", "faults") == every
    assert await listed("--state", "failed") == {failed.correlation_id}
    assert await listed("--state", "ended") == {finished.correlation_id, failed.correlation_id}
    assert await listed("--state", "open") == {running.correlation_id}
    assert len(await listed("--limit", "1")) == 1
    assert await listed("--user", "nobody") == await listed("--topology", "other") == set()
    table = await process.command("processes", "list", COLUMNS="120")
    (line,) = (line for line in table.splitlines() if failed.correlation_id[:8] in line)
    assert line.split()[1:3] == ["faults", "failed"]
    assert line.split()[-4:] == ["3", "2", "1", "0"]


async def test_one_run_is_shown_by_node_with_what_is_open(
    worker: tuple[TopologyFile, InProcess], queues: Queues
) -> None:
    topology, process = worker
    _, failed, running = await three_runs(queues, topology)
    text = await process.command("processes", "show", failed.correlation_id[:13])
    assert f"trash list --process {failed.correlation_id}" in text
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()}
    assert lines["check"] == ["1", "0", "1", "0", "0"]
    facts = json.loads(await process.command("processes", "show", running.correlation_id, "--json"))
    assert facts["nodes"]["out"] == {"open": 1, "ok": 0, "failed": 0, "cancelled": 0}
    assert "no such process" in await process.command("processes", "show", "nobody", status=1)


async def test_a_run_is_watched_to_its_end(worker: tuple[TopologyFile, InProcess], queues: Queues) -> None:
    topology, process = worker
    finished, failed, running = await three_runs(queues, topology)
    (line,) = (await process.command("processes", "watch", finished.correlation_id)).splitlines()
    assert f"{finished.correlation_id}  finished" in line, "nothing is drawn where no terminal is"
    await process.command("processes", "watch", failed.correlation_id, status=1)
    watching = asyncio.create_task(
        process.command("processes", "watch", running.correlation_id, "--every", "0.1", "--json", status=1)
    )
    await process.command("processes", "cancel", running.correlation_id, "--yes")
    run = running.correlation_id
    await eventually(lambda: run in process.worker.parts.runs.runs._cancelled, what="the cancel")  # type: ignore[attr-defined]
    await queues.publish(topology.exchange("end"), *await queues.read(topology.queue("out"), 1))
    last = json.loads((await watching).splitlines()[-1])
    assert (last["state"], last["cancelled"], last["open"]) == ("cancelled", 1, 0)


async def test_a_cancel_ends_what_waits_for_a_person(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "ask"), NodeEntry("ask", (), "worker.user"))
    worker = await run_worker(topology)
    run, other = str(uuid4()), str(uuid4())
    for one in (run, other):
        await start_run(queues, topology, "start", one)
        await until_run(topology.state_url, one, lambda found: found.ok == 1)
    await eventually(lambda: worker.worker.counts[topology.node_id("ask"), "kept"] == 2, what="two user tasks")

    text = await worker.command("processes", "cancel", run, "--yes")

    assert f"{run}: cancelling, 1 open" in text
    assert "1 user task rejected" in text
    ended = await ended_run(topology.state_url, run)
    assert (ended.state, ended.ok, ended.cancelled) == (RunState.CANCELLED, 1, 1)
    told = json.loads(await worker.command("processes", "cancel", run, "--yes", "--json", status=1))
    assert told == {"cancelling": [], "hadEnded": [run], "userTasksRejected": 0}
    assert not (await until_run(topology.state_url, other, lambda found: found.open == 1)).is_ended


async def test_a_cancel_says_how_user_tasks_end_when_the_broker_is_away(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(NodeEntry("ask", (), "worker.user"))
    worker, run = await run_worker(topology), str(uuid4())
    await start_run(queues, topology, "ask", run)
    await eventually(lambda: worker.worker.counts[topology.node_id("ask"), "kept"] == 1, what="a user task")

    text = await worker.command(
        "processes", "cancel", run, "--yes", "--trash-url", "postgresql://127.0.0.1:1/trash", status=1
    )

    assert f"{run}: cancelling" in text
    assert f"orchesty-worker trash reject --process {run} --type userTask" in text


async def test_the_platform_shows_its_processes_itself(worker: tuple[TopologyFile, InProcess]) -> None:
    text = await worker[1].command("processes", "list", status=2, WORKER_MODE="platform")
    assert "standalone mode" in text


async def test_a_database_that_is_away_is_named(worker: tuple[TopologyFile, InProcess]) -> None:
    url = "postgresql://worker:secret@127.0.0.1:1/orders"
    text = await worker[1].command("processes", "list", "--database-url", url, status=1)
    assert "Is WORKER_DATABASE_URL right?" in text
    assert "secret" not in text
