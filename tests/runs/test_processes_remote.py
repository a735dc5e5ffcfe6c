"""Runs whose actions are services that answer without the headers by which runs are counted."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from conftest import MakeTopology, RunWorker
from support.queues import Queues
from support.runs import counts, ended_run, ok, start_run, until_run
from support.services import serving
from support.topologies import NodeEntry, TopologyFile, connector, pass_on
from support.waiting import eventually

from worker.pipeline import settle
from worker.runs.run import NodeCounts, RunState

Headers = Mapping[str, Any]

FIRST = {
    "repeat": {"result-code": "1001", "repeat-interval": "1", "repeat-max-hops": "5"},
    "limit": {"result-code": "1004"},
    "trash": {"result-code": "1006", "result-message": "no stock"},
    "next page": {"result-code": "1010", "cursor": "2"},
    "only a cursor": {"result-code": "1011", "cursor": "2"},
    "stop": {"result-code": "1003"},
}
"""What the service answers to the first call."""

STEPS: Mapping[str, Callable[[Headers], Headers]] = {
    "dropped": lambda headers: {name: value for name, value in headers.items() if name != "worker-step"},
    "changed": lambda headers: {**headers, "worker-step": "other"},
}


class Service:
    """Answers the first call with a verdict, and all others with success."""

    def __init__(self, first: Headers, headers_of: Callable[[Headers], Headers]) -> None:
        self.calls = 0
        self._first = first
        self._headers_of = headers_of

    async def answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        verdict = self._first if self.calls == 1 else {"result-code": "0"}
        got = await request.json()
        assert "worker-step" in got["headers"]
        items = json.dumps([{"headers": {}, "body": "1"}])
        return web.json_response({"headers": {**self._headers_of(got["headers"]), **verdict}, "body": items})


def through(url: str, role: str) -> tuple[NodeEntry, ...]:
    ask = connector("ask", "ask", "end", url=url)
    return pass_on("start", "ask"), NodeEntry("ask", ["end"], role, settings=ask.settings), pass_on("end")


@pytest.fixture(params=STEPS)
def headers_of(request: pytest.FixtureRequest) -> Callable[[Headers], Headers]:
    return STEPS[request.param]


async def started(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, url: str, role: str = "worker.http"
) -> tuple[TopologyFile, str]:
    topology, run = make_topology(*through(url, role)), str(uuid4())
    await run_worker(topology)
    await start_run(queues, topology, "start", run)
    return topology, run


@pytest.mark.parametrize("first", ["repeat", "limit"])
async def test_a_message_that_comes_back_is_counted_once(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    headers_of: Callable[[Headers], Headers],
    monkeypatch: pytest.MonkeyPatch,
    first: str,
) -> None:
    monkeypatch.setattr(settle, "DEFAULT_LIMIT_PAUSE", timedelta(seconds=0.2))
    service = Service(FIRST[first], headers_of)
    async with serving(service.answer) as url:
        topology, run = await started(make_topology, run_worker, queues, url)
        await eventually(lambda: service.calls == 2, what="the second call")
        ended = await ended_run(topology.state_url, run)
    assert (ended.state, counts(ended)) == (RunState.FINISHED, (3, 3, 0, 0, 0))
    assert ended.nodes == {"start": ok(1), "ask": ok(1), "end": ok(1)}


@pytest.mark.parametrize(("first", "items"), [("next page", 2), ("only a cursor", 1)])
async def test_each_page_is_counted_once(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    headers_of: Callable[[Headers], Headers],
    first: str,
    items: int,
) -> None:
    service = Service(FIRST[first], headers_of)
    async with serving(service.answer) as url:
        topology, run = await started(make_topology, run_worker, queues, url, "worker.batch")
        await eventually(lambda: service.calls == 2, what="the second page")
        ended = await ended_run(topology.state_url, run)
    assert ended.nodes == {"start": ok(1), "ask": ok(2), "end": ok(items)}


async def test_a_message_that_stops_is_counted(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, headers_of: Callable[[Headers], Headers]
) -> None:
    async with serving(Service(FIRST["stop"], headers_of).answer) as url:
        topology, run = await started(make_topology, run_worker, queues, url)
        ended = await ended_run(topology.state_url, run)
    assert ended.nodes == {"start": ok(1), "ask": ok(1)}


async def test_what_is_approved_takes_its_failure_back(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, headers_of: Callable[[Headers], Headers]
) -> None:
    service = Service(FIRST["trash"], headers_of)
    async with serving(service.answer) as url:
        topology, run = make_topology(*through(url, "worker.http")), str(uuid4())
        worker = await run_worker(topology)
        await start_run(queues, topology, "start", run)
        failed = await ended_run(topology.state_url, run)
        assert failed.nodes == {"start": ok(1), "ask": NodeCounts(failed=1)}

        await worker.command("trash", "approve", "--all", "--yes")

        repaired = await until_run(topology.state_url, run, lambda one: one.state is RunState.FINISHED)
    assert repaired.nodes == {"start": ok(1), "ask": ok(1), "end": ok(1)}
