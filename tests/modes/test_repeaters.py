"""Repeater settings of the platform's editor: read from the documents of the nodes, and again when they change."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from conftest import MakeDatabase, MakeTopology, RunWorker
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from support.installation.worker_api import KEY, WorkerApi
from support.queues import Queues, process_message
from support.topologies import connector
from support.visits import node
from support.waiting import eventually

from connectors import Connector, Message, Repeat
from deploy.ports import free_ports
from worker.modes import repeaters as module
from worker.modes.node_documents import MongoNodes, WorkerApiNodes
from worker.modes.repeaters import EditorRepeaters, NodeDocuments
from worker.protocol.topology import Repeater

OWN = Repeater(60, 3)


@asynccontextmanager
async def nodes_of(url: str) -> AsyncIterator[AsyncCollection[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        yield client.get_default_database()["Node"]


def configs(**repeater: Any) -> str:
    """Return what the editor writes."""
    return json.dumps({"sdk": {"host": "x"}, "prefetch": "10", "timeout": 30, "repeater": repeater})


async def read(documents: NodeDocuments, *ids: str) -> Mapping[str, Repeater]:
    """Look at the documents once."""
    kept = EditorRepeaters(documents, [node(id=own) for own in ids])
    await kept.begin()
    return kept.by_node


async def test_what_is_switched_on_is_found_by_the_ids_of_nodes(make_database: MakeDatabase) -> None:
    url, ids = make_database("mongodb"), [ObjectId() for _ in range(5)]
    written = [
        configs(enabled=True, interval=60, hops=3),
        configs(enabled=True, interval="30", hops="2"),
        configs(enabled=False, interval=60, hops=3),
        json.dumps({"prefetch": 1}),
        None,
    ]
    documents = MongoNodes(url)
    async with nodes_of(url) as nodes:
        await nodes.insert_many([{"_id": own, "systemConfigs": text} for own, text in zip(ids, written, strict=True)])
    found = await read(documents, *map(str, ids), "no object id")
    assert found == {str(ids[0]): OWN, str(ids[1]): Repeater(30, 2)}
    await documents.close()


async def test_they_are_found_behind_the_worker_api_as_well() -> None:
    async with WorkerApi().running() as api:
        own = api.add("Node", systemConfigs=configs(enabled=True, interval=60, hops=3))
        other = api.add("Node")
        documents = WorkerApiNodes(api.url, KEY)
        assert await read(documents, own, other, "no object id") == {own: OWN}
        await documents.close()


async def test_a_worker_api_that_refuses_changes_nothing(log_lines: Sequence[Mapping[str, Any]]) -> None:
    async with WorkerApi().running() as api:
        documents = WorkerApiNodes(api.url, "wrong")
        assert await read(documents, "0" * 24) == {}
        await documents.close()
    assert [line["event"] for line in log_lines] == ["editor_settings_away"]


@pytest.mark.parametrize("text", ["no json", "[]", '{"repeater": 5}', '{"repeater": {"interval": "soon"}}'])
async def test_what_cannot_be_read_is_told_once_and_ignored(
    make_database: MakeDatabase, text: str, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    url, own = make_database("mongodb"), ObjectId()
    async with nodes_of(url) as nodes:
        await nodes.insert_one({"_id": own, "systemConfigs": text})
    documents = MongoNodes(url)
    kept = EditorRepeaters(documents, [node(id=str(own))])
    for _ in range(2):
        await kept.begin()
    assert [line["event"] for line in log_lines] == ["editor_settings_unreadable"]
    assert kept.by_node == {}
    await documents.close()


async def test_while_the_database_is_away_the_latest_ones_hold(log_lines: Sequence[Mapping[str, Any]]) -> None:
    documents = MongoNodes(f"mongodb://127.0.0.1:{free_ports(1)[0]}/x?serverSelectionTimeoutMS=50")
    kept = EditorRepeaters(documents, [node()])
    kept.by_node["n1"] = OWN
    for _ in range(2):
        await kept.begin()
    assert kept.by_node == {"n1": OWN}
    assert [line["event"] for line in log_lines] == ["editor_settings_away"]
    await documents.close()


class Later(Connector[Any, Any]):
    """Wants each message again."""

    name = "later"

    async def process(self, message: Message[Any]) -> Message[Any]:
        raise Repeat(timedelta(seconds=1), "later", max_hops=9)


async def test_a_worker_that_consumes_knows_what_the_editor_says(
    make_database: MakeDatabase, make_topology: MakeTopology, run_worker: RunWorker
) -> None:
    url, topology = make_database("mongodb"), make_topology(connector("later", "later"))
    own = topology.node_id("later")
    async with nodes_of(url) as nodes:
        await nodes.insert_one({"_id": own, "systemConfigs": configs(enabled=True, interval=60, hops=3)})
    worker = await run_worker(topology, Later(), mode="platform", mongodb_dsn=url)
    repeaters = worker.worker.parts.repeaters
    assert repeaters is not None
    assert repeaters.by_node == {own: OWN}


async def test_a_worker_starts_while_the_settings_are_away(make_topology: MakeTopology, run_worker: RunWorker) -> None:
    ended = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    topology = make_topology(connector("later", "later"))
    began = time.monotonic()
    async with server:
        await run_worker(topology, Later(), mode="platform", api_host=f"http://127.0.0.1:{port}")
        assert time.monotonic() - began < 60
        ended.set()


async def test_a_change_in_the_editor_holds_for_a_worker_that_runs(
    make_database: MakeDatabase,
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.1)
    url, topology = make_database("mongodb"), make_topology(connector("later", "later"))
    worker = await run_worker(topology, Later(), mode="platform", mongodb_dsn=url)
    own = topology.node_id("later")
    async with nodes_of(url) as nodes:
        await nodes.insert_one({"_id": own, "systemConfigs": configs(enabled=True, interval=60, hops=1)})
    repeaters = worker.worker.parts.repeaters
    assert repeaters is not None
    await eventually(lambda: own in repeaters.by_node, what="the editor's settings")
    await queues.publish(topology.exchange("later"), process_message("x"))

    async def reason() -> str | None:
        return next((one.reason for one in await worker.worker.parts.store.waiting()), None)

    assert await eventually(reason, what="an entry in the trash") == "max repeat limit reached, later"
    async with nodes_of(url) as nodes:
        await nodes.update_one({"_id": own}, {"$set": {"systemConfigs": configs(enabled=False)}})
    await eventually(lambda: own not in repeaters.by_node, what="the settings of the action")
