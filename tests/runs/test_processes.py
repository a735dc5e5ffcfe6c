"""The state of runs: exact whatever way their messages take."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from conftest import MakeTopology, RunWorker
from support.actions import Copy, RepeatOnce
from support.databases import MakeDatabase
from support.queues import ProcessMessage, Queues
from support.runs import counts, ended_run, ok, run_in, start_run, until_run
from support.topologies import NodeEntry, connector, custom_node, pass_on, sink
from support.waiting import eventually

from connectors import Batch, Connector, CustomNode, Forward, Message, Page, Repeat, Trash
from deploy.ports import free_ports
from worker.protocol.identity import first_step, next_step
from worker.protocol.message import now_ms
from worker.runs import recorder
from worker.runs.run import NodeCounts, RunState
from worker.runs.store import RunStore

DATABASES = ("sqlite", "postgresql")


class Count(Batch[Any, int]):
    """Three pages of two numbers."""

    name = "count"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        first = int(cursor or 0)
        return Page([first, first + 1], next_cursor=str(first + 2) if first < 4 else None)


class Refuse(CustomNode[Any, Any]):
    """Sends every message to the trash until it is told to let them pass."""

    name = "refuse"
    is_open = False

    async def process(self, message: Message[Any]) -> Message[Any]:
        if not self.is_open:
            raise Trash("no stock")
        return message


class Round(CustomNode[Any, Any]):
    """Sends a message round its loop until its number is used up."""

    name = "round"

    async def process(self, message: Message[Any]) -> Forward:
        left = message.data["rounds"]
        return Forward(message.with_data({"rounds": left - 1}), to=("again",) if left else ("out",))


class Hold(CustomNode[Any, Any]):
    """Holds every message until it is let go."""

    name = "hold"

    def __init__(self) -> None:
        self.held = 0
        self.open = asyncio.Event()

    async def process(self, message: Message[Any]) -> Message[Any]:
        self.held += 1
        await self.open.wait()
        return message


class Leave(CustomNode[Any, Any]):
    """Sends its message on under another correlation id."""

    name = "leave"

    async def process(self, message: Message[Any]) -> Message[Any]:
        headers = {**message.headers, "correlation-id": f"{message.headers['correlation-id']}-again"}
        return Message(headers, message.body)


class Endless(Batch[Any, int]):
    """Pages without an end."""

    name = "endless"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        return Page([1], next_cursor=str(int(cursor or 0) + 1))


class Never(Connector[Any, Any]):
    """Repeats every second."""

    name = "never"

    async def process(self, message: Message[Any]) -> Message[Any]:
        raise Repeat(timedelta(seconds=1), "not yet", max_hops=1000)


@pytest.fixture
def run() -> str:
    """The correlation id of the test's run."""
    return str(uuid4())


def five(name: str) -> list[str]:
    return [f"{name}-{number}" for number in range(5)]


@pytest.mark.parametrize("kind", DATABASES)
async def test_a_run_is_counted_through_fan_out_pages_and_repeats(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, make_database: MakeDatabase, kind: str, run: str
) -> None:
    url = make_database(kind)
    batch = NodeEntry("count", five("end"), "worker.batch", settings={"actionPath": "/batch/count/action"})
    topology = make_topology(
        pass_on("start", "repeat"),
        custom_node("repeat", "repeat-once", "count"),
        batch,
        *(pass_on(name) for name in five("end")),
    )
    await run_worker(topology, RepeatOnce(), Count(), database_url=url)
    await start_run(queues, topology, "start", run, {"seconds": 0})
    ended = await ended_run(url, run)
    # the start, the repeated one, 3 pages, and 6 items for 5 followers
    assert counts(ended) == (35, 35, 0, 0, 0)
    assert ended.state is RunState.FINISHED
    assert ended.nodes == {"start": ok(1), "repeat": ok(1), "count": ok(3)} | {name: ok(6) for name in five("end")}
    assert ended.ended is not None
    assert 0 <= ended.ended - ended.started < 60_000


async def test_a_message_that_comes_round_a_loop_counts_every_time(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, run: str
) -> None:
    topology = make_topology(custom_node("round", "round", "again", "out"), pass_on("again", "round"), pass_on("out"))
    await run_worker(topology, Round())
    await start_run(queues, topology, "round", run, {"rounds": 5})
    ended = await ended_run(topology.state_url, run)
    assert ended.nodes == {"round": ok(6), "again": ok(5), "out": ok(1)}


@pytest.mark.parametrize("kind", DATABASES)
async def test_duplicates_count_once(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, make_database: MakeDatabase, kind: str, run: str
) -> None:
    url = make_database(kind)
    topology = make_topology(pass_on("start", "a", "b"), pass_on("a", "end"), pass_on("b", "end"), pass_on("end"))
    first, second = [await run_worker(topology, database_url=url) for _ in range(2)]
    for _ in range(7):
        await start_run(queues, topology, "start", run)
    done = (topology.node_id("end"), "done")
    await eventually(lambda: first.worker.counts[done] + second.worker.counts[done] == 14, what="all duplicates")
    assert counts(await ended_run(url, run)) == (5, 5, 0, 0, 0)


@pytest.mark.parametrize("kind", DATABASES)
async def test_what_failed_ends_the_run_and_approving_it_takes_the_failure_back(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, make_database: MakeDatabase, kind: str, run: str
) -> None:
    url = make_database(kind)
    topology = make_topology(pass_on("start", "refuse", "end"), custom_node("refuse", "refuse", "end"), pass_on("end"))
    refuse = Refuse()
    worker = await run_worker(topology, refuse, database_url=url)
    await start_run(queues, topology, "start", run)
    failed = await ended_run(url, run)
    assert (failed.state, counts(failed)) == (RunState.FAILED, (3, 2, 1, 0, 0))
    assert failed.nodes["refuse"] == NodeCounts(failed=1)
    with closing(RunStore(url)) as store:
        assert store.compact(now_ms() + 1) == 1
    assert (again := run_in(url, run)) is not None
    assert again.nodes == failed.nodes
    refuse.is_open = True
    await worker.command("trash", "approve", "--all", "--yes")
    repaired = await until_run(url, run, lambda one: one.state is RunState.FINISHED)
    assert counts(repaired) == (4, 4, 0, 0, 0)
    assert repaired.nodes == {"start": ok(1), "refuse": ok(1), "end": ok(2)}


async def test_duplicates_that_come_long_after_the_end_are_not_counted(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, run: str
) -> None:
    topology = make_topology(pass_on("start", "end"), pass_on("end"))
    worker = await run_worker(topology)
    await start_run(queues, topology, "start", run)
    before = await ended_run(topology.state_url, run)
    with closing(RunStore(topology.state_url)) as store:
        assert store.compact(now_ms() + 1) == 1
    first = first_step(topology.node_id("start"), f"{run}-first")
    step = next_step(first, topology.node_id("end"), 0)
    late = ProcessMessage({"correlation-id": run, "process-id": f"{run}-first", "worker-step": step}, "{}")
    await queues.publish(topology.exchange("end"), late)
    await eventually(lambda: worker.worker.counts[topology.node_id("end"), "done"] == 2, what="the duplicate")
    assert run_in(topology.state_url, run) == before


def cancelled_shapes() -> Iterator[tuple[str, NodeEntry]]:
    yield "endless", NodeEntry("work", ["end"], "worker.batch", settings={"actionPath": "/batch/endless/action"})
    yield "never", NodeEntry("work", ["end"], "worker.http", settings={"actionPath": "/connector/never/action"})


@pytest.mark.parametrize("node", [node for _, node in cancelled_shapes()], ids=[name for name, _ in cancelled_shapes()])
async def test_a_cancelled_run_ends_between_pages_and_repeats(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, run: str, node: NodeEntry
) -> None:
    topology = make_topology(pass_on("start", "work"), node, pass_on("end"))
    worker = await run_worker(topology, Endless(), Never())
    await start_run(queues, topology, "start", run)
    await until_run(topology.state_url, run, lambda one: one.ok >= 1)
    assert "cancelling" in await worker.command("processes", "cancel", run[:13], "--yes")
    ended = await ended_run(topology.state_url, run)
    assert ended.state is RunState.CANCELLED
    assert (ended.nodes["work"].cancelled, ended.open) == (1, 0)
    assert "had ended" in await worker.command("processes", "cancel", run, "--yes", status=1)


async def test_a_cancel_ends_a_message_whose_service_does_not_answer(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    run: str,
    log_lines: Sequence[Mapping[str, Any]],
) -> None:
    (nobody,) = free_ports(1)
    topology = make_topology(connector("ask", "away", "end", url=f"http://127.0.0.1:{nobody}"), pass_on("end"))
    worker = await run_worker(topology, max_failures=1000)
    await start_run(queues, topology, "ask", run)
    await eventually(lambda: [line for line in log_lines if line["event"] == "action_unreachable"], what="an attempt")
    await until_run(topology.state_url, run, lambda one: one.open == 1)

    await worker.command("processes", "cancel", run, "--yes")

    ended = await ended_run(topology.state_url, run)
    assert (ended.state, counts(ended)) == (RunState.CANCELLED, (1, 0, 0, 1, 0))


async def test_a_first_message_that_is_put_aside_is_seen(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only by chance, because it was at work for a moment."""
    monkeypatch.setattr(recorder, "MOMENT_SECONDS", 3600)
    topology = make_topology(custom_node("start", "repeat-once", "end"), pass_on("end"))
    worker = await run_worker(topology, RepeatOnce())
    await start_run(queues, topology, "start", run, {"seconds": 60})
    await eventually(lambda: worker.worker.counts[topology.node_id("start"), "repeated"], what="a parked message")

    (seen,) = json.loads(await worker.command("processes", "list", "--json"))
    assert (seen["correlationId"], seen["state"], seen["open"]) == (run, "running", 1)


async def test_a_cancel_reaches_what_waits_in_queues_and_leaves_other_runs_alone(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, run: str
) -> None:
    topology = make_topology(pass_on("start", *five("way")), *(hold(name) for name in five("way")), pass_on("end"))
    action = Hold()
    worker = await run_worker(topology, action)
    await start_run(queues, topology, "start", other := str(uuid4()))
    await eventually(lambda: action.held == 5, what="the other run at work")
    await start_run(queues, topology, "start", run)
    await until_run(topology.state_url, run, lambda one: one.ok == 1)
    await worker.command("processes", "cancel", run, "--yes")
    await eventually(lambda: run in worker.worker.parts.runs.runs._cancelled, what="the cancel")  # type: ignore[attr-defined]
    action.open.set()
    ended = await ended_run(topology.state_url, run)
    assert counts(ended) == (6, 1, 0, 5, 0)
    assert counts(await ended_run(topology.state_url, other)) == (11, 11, 0, 0, 0)
    assert action.held == 5


def hold(name: str) -> NodeEntry:
    return custom_node(name, "hold", "end", prefetch=1)


async def test_a_first_message_that_is_long_at_work_is_seen(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, run: str
) -> None:
    topology = make_topology(hold("start"), pass_on("end"))
    action = Hold()
    await run_worker(topology, action)
    await start_run(queues, topology, "start", run)
    seen = await until_run(topology.state_url, run, lambda _: True)
    assert (seen.state, seen.nodes) == (RunState.RUNNING, {"start": NodeCounts(open=1)})
    action.open.set()
    assert counts(await ended_run(topology.state_url, run)) == (2, 2, 0, 0, 0)


async def test_what_goes_on_under_another_correlation_id_begins_a_run(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, run: str
) -> None:
    topology = make_topology(custom_node("start", "leave", "end"), pass_on("end"))
    await run_worker(topology, Leave())
    await start_run(queues, topology, "start", run)
    assert (await ended_run(topology.state_url, run)).nodes == {"start": ok(1)}
    assert (await ended_run(topology.state_url, f"{run}-again")).nodes == {"end": ok(1)}


async def test_nothing_is_counted_when_it_is_switched_off(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, run: str
) -> None:
    topology = make_topology(custom_node("start", "copy", "sink"), sink())
    await run_worker(topology, Copy(), process_state=False)
    await start_run(queues, topology, "start", run)
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert "worker-step" not in message.headers
    assert run_in(topology.state_url, run) is None
