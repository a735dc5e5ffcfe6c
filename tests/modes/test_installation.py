"""The limits of an installation: asked for at the backend, compared with what is used, and kept."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from conftest import MakeDatabase, MakeTopology, RunWorker
from pymongo import AsyncMongoClient
from support.actions import Copy
from support.queues import Queues, bodies, process_message
from support.services import serving
from support.topologies import custom_node, sink
from support.waiting import eventually

from deploy.ports import free_ports
from worker.modes.installation import InstallationLimits
from worker.modes.notices import PlatformNotice
from worker.modes.usage import Usage
from worker.protocol.transport import Publication
from worker.trash.opening import open_trash

LIMITS = {"messages": 10, "storageGb": 1, "trashDuplicationLimit": 7}
OWN_FLOOD_LIMIT = 1000


class Noted:
    """An outlet that notes what is published."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []

    async def publish(self, publications: Sequence[Publication], *, is_patient: bool = True) -> None:
        self.publications += publications


class Backend:
    """The platform's backend and its starting point."""

    def __init__(self) -> None:
        self.status: Any = {"limits": LIMITS}
        self.told: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/api/status":
            return web.json_response(self.status) if self.status is not None else web.Response(status=500)
        self.told.append(await request.json())
        return web.Response()


async def use(url: str, *, messages: int = 0, megabytes: float = 0, held: int = 0) -> None:
    """Write what the platform's metrics collector and its limiter write."""
    now = datetime.now(UTC)
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()
        await database["rabbitmq_metrics"].insert_many(
            [
                {"timestamp": now - timedelta(hours=1), "total_messages": 10**6, "total_disk_mb": 10**6},
                {"timestamp": now, "total_messages": messages, "total_disk_mb": megabytes / 4},
            ]
        )
        await database["db_storage_metrics"].insert_one({"timestamp": now, "storage_size_mb": megabytes / 4})
        await database["loki_retention_metrics"].insert_one({"timestamp": now, "total_data_size_mb": megabytes / 2})
        if held:
            await database["own_limiter"].insert_many([{"n": number} for number in range(held)])


@asynccontextmanager
async def installation(url: str | None) -> AsyncIterator[tuple[InstallationLimits, Backend, Noted, Any]]:
    backend, outlet = Backend(), Noted()
    store = open_trash("sqlite:////nowhere/trash.sqlite", OWN_FLOOD_LIMIT)
    async with serving(backend.answer) as at:
        usage = Usage(url, url, "own_limiter")
        limits = InstallationLimits(f"{at}/", 60, usage, store, PlatformNotice(at, "key"), outlet)
        try:
            yield limits, backend, outlet, store
        finally:
            await limits.close()


async def test_a_limit_of_null_is_none_and_the_others_hold(make_database: MakeDatabase) -> None:
    url = make_database("mongodb")
    await use(url, messages=6, megabytes=4096)
    async with installation(url) as (limits, backend, _, store):
        backend.status = {"limits": {"messages": None, "storageGb": 1, "trashDuplicationLimit": None}}
        await limits._look()
        assert limits.exceeded == "storage limit of the installation exceeded"
        assert store.flood_limit == OWN_FLOOD_LIMIT
        backend.status = {"limits": {"messages": 5, "storageGb": None}}
        await limits._look()
        assert limits.exceeded == "message limit of the installation exceeded"


async def test_too_many_messages_are_told_once_and_so_is_the_end_of_it(make_database: MakeDatabase) -> None:
    url = make_database("mongodb")
    await use(url, messages=6, held=5)
    async with installation(url) as (limits, backend, outlet, store):
        for _ in range(2):
            await limits._look()
        assert limits.exceeded == "message limit of the installation exceeded"
        assert store.flood_limit == 7
        await use(url, messages=5)
        await limits._look()
        assert limits.exceeded == ""
    assert [told["type"] for told in backend.told] == ["limitOverflow", "limitRecovered"]
    assert json.loads(backend.told[0]["contents"][0]["body"])["current_value"] == 11
    exceeded, recovered = [json.loads(sent.body) for sent in outlet.publications]
    assert (exceeded["event_type"], exceeded["severity"]) == ("limit_overflow", "critical")
    assert exceeded["message"] == "message limit exceeded: 11 / 10"
    assert (recovered["event_type"], recovered["severity"]) == ("limit_recovered", "info")


async def test_storage_is_that_of_databases_broker_and_logs(make_database: MakeDatabase) -> None:
    url = make_database("mongodb")
    await use(url, megabytes=1024)
    async with installation(url) as (limits, _, _, _):
        await limits._look()
        assert limits.exceeded == ""
        await use(url, megabytes=1028)
        await limits._look()
        assert limits.exceeded == "storage limit of the installation exceeded"


@pytest.mark.parametrize("status", [{}, {"limits": None}, {"limits": {}}])
async def test_without_limits_there_are_none(make_database: MakeDatabase, status: dict[str, Any]) -> None:
    url = make_database("mongodb")
    await use(url, messages=11)
    async with installation(url) as (limits, backend, _, store):
        await limits._look()
        assert limits.exceeded
        backend.status = status
        await limits._look()
        assert limits.exceeded == ""
        assert store.flood_limit == OWN_FLOOD_LIMIT


@pytest.mark.parametrize("status", [None, [], {"limits": {"messages": "many"}}])
async def test_while_the_backend_is_away_the_latest_limits_hold(
    make_database: MakeDatabase, status: Any, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    url = make_database("mongodb")
    await use(url, messages=11)
    async with installation(url) as (limits, backend, _, store):
        await limits._look()
        backend.status = status
        for _ in range(2):
            await limits._look()
        assert limits.exceeded
        assert store.flood_limit == 7
    assert [line["event"] for line in log_lines].count("installation_limits_away") == 1


async def test_a_database_that_is_away_exceeds_no_limit(log_lines: Sequence[Mapping[str, Any]]) -> None:
    async with installation(f"mongodb://127.0.0.1:{free_ports(1)[0]}/x?serverSelectionTimeoutMS=50") as (limits, *_):
        await limits._look()
        assert limits.exceeded == ""
    assert [line["event"] for line in log_lines] == ["installation_limits_away"]


async def test_messages_go_to_the_trash_as_long_as_a_limit_is_exceeded(
    make_database: MakeDatabase, make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    url, backend = make_database("mongodb"), Backend()
    await use(url, messages=11)
    topology = make_topology(custom_node("copy", "copy", "sink"), sink())
    async with serving(backend.answer) as at:
        worker = await run_worker(
            topology, Copy(), mode="platform", backend_url=at, metrics_dsn=url, limits_check_interval=0.1
        )
        limits = worker.worker.parts.installation
        assert limits is not None
        await eventually(lambda: limits.exceeded, what="an exceeded limit")
        of_system = process_message("system", **{"system-event": "true"})
        await queues.publish(topology.exchange("copy"), process_message("late"), of_system)
        assert bodies(await queues.read(topology.queue("sink"), 1)) == ["system"]
        (entry,) = await eventually(worker.worker.parts.store.waiting, what="an entry in the trash")
        assert entry.reason == "message limit of the installation exceeded"
        backend.status = {}
        await eventually(lambda: not limits.exceeded, what="no limit")
        await queues.publish(topology.exchange("copy"), process_message("again"))
        assert bodies(await queues.read(topology.queue("sink"), 1)) == ["again"]
