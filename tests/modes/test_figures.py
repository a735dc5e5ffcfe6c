"""The figures that the platform's admin shows: what is written for which message, and that no message waits for it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, timedelta
from typing import Any

import pytest
from aiohttp import web
from conftest import MakeDatabase, MakeTopology, RunWorker
from pymongo import AsyncMongoClient
from support.actions import Copy
from support.queues import Queues, bodies, process_message
from support.services import serving
from support.topologies import NodeEntry, connector, custom_node, sink
from support.visits import node, visit
from support.waiting import eventually

from applications.pauses import FIRST_SECONDS
from connectors import Connector, Message, Repeat, Trash
from deploy.ports import free_ports
from worker.modes import figures as module
from worker.modes.figures import MongoFigures
from worker.protocol.message import now_ms

COLLECTION = "pipes_node"


async def written(url: str, collection: str = COLLECTION) -> list[dict[str, Any]]:
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        return [one async for one in client.get_default_database()[collection].find({})]


@asynccontextmanager
async def writing(url: str, collection: str = COLLECTION) -> AsyncIterator[MongoFigures]:
    """Write what the test tells; what can be is written when the context has ended."""
    figures = MongoFigures(url, collection)
    running = asyncio.ensure_future(figures.run())
    try:
        yield figures
        await figures.finish()
    finally:
        running.cancel()
        await figures.close()


class Choose(Connector[Any, Any]):
    """Does what the body says."""

    name = "choose"

    async def process(self, message: Message[Any]) -> Message[Any]:
        if message.data == "repeat":
            raise Repeat(timedelta(minutes=1), "later", max_hops=3)
        if message.data == "trash":
            raise Trash("no stock")
        return message


async def test_a_document_is_what_the_platforms_own_worker_writes(make_database: MakeDatabase) -> None:
    url, at = make_database("mongodb"), visit(node())
    async with writing(url) as figures:
        figures.ended(at, at.timestamp + 40, is_success=True)
        figures.ended(at, at.timestamp - 5, is_success=False)
    first, second = await written(url)
    assert first["tags"] == {"node_id": "n1", "topology_id": "t1", "correlation_id": at.headers["correlation-id"]}
    created = int(first["fields"].pop("created").timestamp() * 1000)
    total = first["fields"]["total_duration"]
    assert first["fields"] == {
        "waiting_duration": 40, "worker_duration": total - 40, "total_duration": total, "result_success": True,
    }  # fmt: skip
    assert abs(created - now_ms()) < 60_000 or created > at.timestamp
    assert (second["fields"]["waiting_duration"], second["fields"]["result_success"]) == (0, False)


async def test_who_ends_is_told_and_who_waits_is_not(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, make_database: MakeDatabase
) -> None:
    url = make_database("mongodb")
    topology = make_topology(connector("choose", "choose", "ask"), NodeEntry("ask", (), "worker.user"))
    worker = await run_worker(topology, Choose(), mode="platform", metrics_dsn=url, node_measurement="own_name")
    await queues.publish(topology.exchange("choose"), *map(process_message, ("repeat", "trash", "go")))

    async def figures() -> list[dict[str, Any]]:
        found = await written(url, "own_name")
        return found if len(found) == 2 else []

    found = await eventually(figures, seconds=20, what="two figures")
    successes = {one["fields"]["result_success"]: one["tags"]["node_id"] for one in found}
    assert successes == {True: topology.node_id("choose"), False: topology.node_id("choose")}
    await eventually(lambda: worker.worker.counts[topology.node_id("ask"), "kept"] == 1, what="a user task")
    assert 'orchesty_worker_figures_total{outcome="written"} 2' in worker.worker.metrics()


async def test_time_in_which_a_service_was_away_is_waiting(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, make_database: MakeDatabase
) -> None:
    url, called = make_database("mongodb"), list[int]()

    async def answer(request: web.Request) -> web.Response:
        called.append(now_ms())
        sent = await request.json()
        sent["headers"]["result-code"] = "0"
        return web.json_response(sent, status=503 if len(called) == 1 else 200)

    async with serving(answer) as service:
        topology = make_topology(connector("remote", "remote", url=service))
        await run_worker(topology, mode="platform", metrics_dsn=url)
        await queues.publish(topology.exchange("remote"), process_message("x"))
        (figure,) = await eventually(lambda: written(url), seconds=20, what="a figure")
    fields = figure["fields"]
    ended = round(fields["created"].replace(tzinfo=UTC).timestamp() * 1000)
    away, answered = called
    assert away + FIRST_SECONDS * 500 <= ended - fields["worker_duration"] <= answered
    assert fields["waiting_duration"] + fields["worker_duration"] == fields["total_duration"]


async def test_no_message_waits_for_a_database_that_is_away(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    url = f"mongodb://127.0.0.1:{free_ports(1)[0]}/metrics?serverSelectionTimeoutMS=100"
    topology = make_topology(custom_node("copy", "copy", "sink"), sink())
    worker = await run_worker(topology, Copy(), mode="platform", metrics_dsn=url)
    await queues.publish(topology.exchange("copy"), *map(process_message, range(3)))
    assert sorted(bodies(await queues.read(topology.queue("sink"), 3))) == [0, 1, 2]
    await eventually(lambda: any(line["event"] == "figures_away" for line in log_lines), what="figures_away")
    worker.worker.stop()
    await eventually(lambda: any(line["event"] == "figures_dropped" for line in log_lines), what="figures_dropped")
    assert 'orchesty_worker_figures_total{outcome="dropped"} 3' in worker.worker.metrics()


async def test_the_oldest_make_room_when_too_many_wait(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    url, at = make_database("mongodb"), visit(node())
    async with writing(url) as figures:
        for began in (1, 2, 3):
            figures.ended(at, at.timestamp + began, is_success=True)
    assert [one["fields"]["waiting_duration"] for one in await written(url)] == [2, 3]
    (family,) = figures.families()
    assert {labels["outcome"]: count for labels, count in family.samples} == {"dropped": 1, "written": 2}
