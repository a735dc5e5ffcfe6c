"""Others are told that a run has ended."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from conftest import MakeTopology, RunWorker
from sqlalchemy import select, update
from support.queues import Queues
from support.runs import ended_run, start_run
from support.services import serving
from support.topologies import TopologyFile, custom_node, pass_on, sink
from support.waiting import eventually

from connectors import CustomNode, Message, Trash
from worker import Worker, load_settings
from worker.errors import SettingsError
from worker.protocol.message import decode
from worker.runs import notices
from worker.runs.notices import start_message
from worker.runs.run import Run, RunState
from worker.runs.store import RunStore
from worker.runs.tables import runs


class Fail(CustomNode[Any, Any]):
    """Sends every message to the trash."""

    name = "fail"

    async def process(self, message: Message[Any]) -> Message[Any]:
        raise Trash("never")


class Hook:
    """A service that is told; `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.told: list[dict[str, Any]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.told.append(json.loads(await request.text()))
        return web.Response(status=self.status)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    async with serving(made.answer) as url:
        made.url = f"{url}/ended?token=secret"
        yield made


@pytest.fixture
def run() -> str:
    return str(uuid4())


async def test_a_webhook_gets_the_totals(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, hook: Hook, run: str
) -> None:
    topology = make_topology(pass_on("start", "a", "fail"), pass_on("a"), custom_node("fail", "fail"))
    await run_worker(topology, Fail(), finished_webhook=hook.url)
    await start_run(queues, topology, "start", run)
    await eventually(lambda: hook.told, what="the call")
    told = hook.told[0]
    assert (told["correlationId"], told["state"], told["topologyName"]) == (run, "failed", "faults")
    assert (told["total"], told["ok"], told["failed"], told["open"]) == (3, 2, 1, 0)
    assert told["nodes"]["fail"] == {"open": 0, "ok": 0, "failed": 1, "cancelled": 0}


async def test_a_webhook_that_refuses_is_called_again_also_by_the_next_worker(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, hook: Hook, run: str
) -> None:
    topology = make_topology(pass_on("start"))
    hook.status = 503
    first = await run_worker(topology, finished_webhook=hook.url)
    await start_run(queues, topology, "start", run)
    await eventually(lambda: hook.told, what="the first call")
    first.worker.stop()
    await eventually(lambda: not first.is_ready, what="the first worker's end")
    hook.status, before = 204, len(hook.told)
    await run_worker(topology, finished_webhook=hook.url)
    await eventually(lambda: len(hook.told) > before, seconds=20, what="the call of the next worker")
    await all_told(topology)


async def all_told(topology: TopologyFile) -> None:
    """Wait until everything that follows from the end of the runs is done."""
    with closing(RunStore(topology.state_url)) as store:

        def is_told() -> bool:
            with store.transaction() as connection:
                return set(connection.execute(select(runs.c.notice_due)).scalars()) == {None}

        await eventually(is_told, seconds=20, what="nothing left to tell")


async def test_a_webhook_that_does_not_answer_is_called_again_after_growing_pauses(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    run: str,
    log_lines: Sequence[Mapping[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notices, "CALL_SECONDS", 0.2)
    topology = make_topology(pass_on("start"))

    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    def pauses() -> list[float]:
        return [line["retry_in_seconds"] for line in log_lines if line["event"] == "end_of_process_not_told"]

    async with serving(never) as url:
        await run_worker(topology, finished_webhook=url)
        await start_run(queues, topology, "start", run)
        await eventually(pauses, what="the first pause")
        assert 1 <= pauses()[0] <= 2
        for tries, pause in {1: 4, 8: 512, 9: 600, 100: 600}.items():
            told = len(pauses())
            make_due(topology, tries=tries)
            await eventually(lambda told=told: len(pauses()) > told, what=f"the pause after {tries + 1} tries")
            assert pause / 2 <= pauses()[told] <= pause


def make_due(topology: TopologyFile, *, tries: int) -> None:
    """Let the worker tell the end of the run now, as if it had tried this often."""
    with closing(RunStore(topology.state_url)) as store, store.transaction(is_writing=True) as connection:
        connection.execute(update(runs).values(notice_due=0, notice_tries=tries))


async def test_a_finished_run_starts_another_topology_under_ids_of_its_own(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, run: str
) -> None:
    reports = make_topology(custom_node("report", "none", "sink"), sink())
    await queues.declare(reports.exchange("report"), reports.queue("report"))
    topology = make_topology(pass_on("start", "a"), pass_on("a"))
    await run_worker(topology, finished_start=reports.node_id("report"))
    await start_run(queues, topology, "start", run)
    (message,) = await queues.read(reports.queue("report"), 1)
    assert message.headers["previous-correlation-id"] == run
    assert message.headers["correlation-id"] != run
    assert (message.data["correlationId"], message.data["state"]) == (run, "finished")


async def test_a_failed_run_starts_nothing(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, hook: Hook, run: str
) -> None:
    reports = make_topology(custom_node("report", "none"))
    await queues.declare(reports.exchange("report"), reports.queue("report"))
    topology = make_topology(custom_node("start", "fail"))
    settings = {"finished_start": reports.node_id("report"), "finished_webhook": hook.url}
    await run_worker(topology, Fail(), **settings)
    await start_run(queues, topology, "start", run)
    assert (await ended_run(topology.state_url, run)).state is RunState.FAILED
    await eventually(lambda: hook.told, what="the call")
    await all_told(topology)
    assert await queues.length(reports.queue("report")) == 0


def test_an_end_that_is_told_twice_starts_one_run() -> None:
    def started(run: Run) -> tuple[str, str]:
        headers = decode(start_message(run), 10_000).headers or {}
        return headers["correlation-id"], headers["process-id"]

    ended = Run("run", "t1", "sample", "alice", RunState.FINISHED, 1000, 2000, 1, 1, 0, 0)
    first = started(ended)
    assert started(ended) == first
    later, other = started(replace(ended, ended=3000)), started(replace(ended, correlation_id="other"))
    assert len({"run", *first, *later, *other}) == 7


def test_a_topology_does_not_start_itself(make_topology: MakeTopology, broker_url: str) -> None:
    topology = make_topology(pass_on("start"))
    settings = load_settings(topology=topology.path, amqp_url=broker_url, finished_start=topology.node_id("start"))
    with pytest.raises(SettingsError, match="WORKER_FINISHED_START"):
        Worker(settings)
