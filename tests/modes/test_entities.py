"""The entities of the business audit in the platform's MongoDB."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson import ObjectId
from conftest import MakeDatabase, MakeTopology, RunWorker
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from support.actions import Copy
from support.queues import Queues, process_message
from support.topologies import custom_node, sink

from connectors import CustomNode, Message, Stop, audit_entity
from deploy.ports import free_ports
from worker.modes.entities import MongoEntities

KIND = ObjectId()
ORDER = {"_id": KIND, "key": "order", "name": "Order", "fields": [{"key": "id"}, {"key": "shop"}]}
USER = "alice"


@asynccontextmanager
async def database(url: str) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        yield client.get_default_database()


@pytest.fixture
async def url(make_database: MakeDatabase) -> str:
    made = make_database("mongodb")
    async with database(made) as opened:
        await opened["AuditEntity"].insert_one(ORDER)
    return made


async def kept(url: str, collection: str = "AuditData") -> list[dict[str, Any]]:
    async with database(url) as opened:
        return [one async for one in opened[collection].find({})]


def named(*orders: Mapping[str, Any], **headers: str) -> dict[str, Any]:
    """Return headers that name orders."""
    return dict(audit_entity(Message({"user": USER, **headers}, ""), "order", "id", *orders).headers)


async def noted(url: str, headers: Mapping[str, Any], *, is_last: bool = False) -> dict[str, Any]:
    entities = MongoEntities(url, "AuditEntity", "AuditData")
    try:
        return dict(await entities.noted(headers, is_last=is_last))
    finally:
        await entities.close()


async def test_an_entity_is_kept_once_and_its_id_travels_on(url: str) -> None:
    first = await noted(url, named({"id": 17, "shop": "eu"}))
    second = await noted(url, named({"id": "17", "shop": "us"}))
    (document,) = await kept(url)
    assert (document["user"], document["entity"]) == (USER, str(KIND))
    fields = [(field["key"], field["value"]) for field in document["fields"]]
    assert sorted(fields) == [("id", "17"), ("shop", "eu"), ("shop", "us")]
    assert first == second
    assert json.loads(first.pop("audit-entity-ids")) == {"order:17": str(document["_id"])}
    assert json.loads(first.pop("audit-entity-fields")) == {"order": {"entity": str(KIND), "fields": ["id", "shop"]}}
    assert first == {"user": USER}


@pytest.mark.parametrize("fields", [None, "id", 5, {"key": "id"}, ["id", None, {"name": "Id"}, {"key": 5}, [1]]])
async def test_a_kind_that_declares_nothing_keeps_nothing(url: str, fields: object) -> None:
    async with database(url) as opened:
        await opened["AuditEntity"].update_one({"_id": KIND}, {"$set": {"fields": fields}})
    told = await noted(url, named({"id": 17}))
    assert (await kept(url), json.loads(told["audit-entity-ids"])) == ([], {})


async def test_what_the_headers_know_is_not_asked_again(url: str) -> None:
    ids = {"order:17": str(ObjectId()), "order:4": "not an id"}
    kinds = {"order": {"entity": "another", "fields": ["id"]}}
    known = {"audit-entity-ids": json.dumps(ids), "audit-entity-fields": json.dumps(kinds)}
    told = await noted(url, named({"id": "17"}, {"id": "4"}, **known))
    (document,) = await kept(url)
    assert document["entity"] == "another"
    assert json.loads(told["audit-entity-ids"]) == {"order:17": ids["order:17"], "order:4": str(document["_id"])}


async def test_what_nobody_has_declared_is_dropped_with_a_warning(
    url: str, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    headers = named({"id": "1", "colour": "red"})
    headers |= audit_entity(Message(headers, ""), "customer", "no", {"no": "9"}).headers
    told = await noted(url, headers)
    (document,) = await kept(url)
    assert document["fields"] == [{"key": "id", "value": "1"}]
    assert list(json.loads(told["audit-entity-ids"])) == ["order:1"]
    warned = {line["entity"]: line["fields"] for line in log_lines if line["event"] == "audit_entity_unknown"}
    assert warned == {"order": ["colour"], "customer": ["no"]}


@pytest.mark.parametrize("header", ["no json", "[]", '{"order":{"key":"id"}}'])
async def test_a_header_that_cannot_be_read_is_dropped_with_a_warning(
    url: str, header: str, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    assert await noted(url, {"user": USER, "audit-entity": header}) == {"user": USER}
    assert [line["event"] for line in log_lines] == ["audit_entity_unreadable"]
    assert await kept(url) == []


async def test_while_the_database_is_away_the_next_node_tries_again(log_lines: Sequence[Mapping[str, Any]]) -> None:
    entities = MongoEntities(
        f"mongodb://127.0.0.1:{free_ports(1)[0]}/x?serverSelectionTimeoutMS=50", "AuditEntity", "AuditData"
    )
    headers = named({"id": "1"})
    assert [await entities.noted(headers, is_last=is_last) for is_last in (False, True)] == [headers, headers]
    (family,) = entities.families()
    counts = {labels["outcome"]: count for labels, count in family.samples}
    assert (counts["postponed"], counts["dropped"]) == (1, 1)
    assert [line["event"] for line in log_lines] == ["audit_away"]
    await entities.close()


class Order(CustomNode[Any, Any]):
    """Names the order that the message is about."""

    name = "order"

    async def process(self, message: Message[Any]) -> Message[Any]:
        about = audit_entity(message, "order", "id", {"id": message.data})
        if message.data == "stop":
            raise Stop("nothing to do", about)
        return about


async def test_ids_travel_to_followers_and_to_the_counter(
    url: str, make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    async with database(url) as opened:
        await opened["OwnKinds"].insert_one(ORDER)
    own = {"audit_entity_collection": "OwnKinds", "audit_data_collection": "OwnData"}
    topology = make_topology(custom_node("order", "order", "copy"), custom_node("copy", "copy", "sink"), sink())
    await run_worker(topology, Order(), Copy(), mode="platform", mongodb_dsn=url, **own)
    await queues.publish(topology.exchange("order"), *map(process_message, ("17", "stop")))
    (message,) = await queues.read(topology.queue("sink"), 1)
    ids = {f"order:{field['value']}": str(one["_id"]) for one in await kept(url, "OwnData") for field in one["fields"]}
    assert json.loads(message.headers["audit-entity-ids"]) == {"order:17": ids["order:17"]}
    assert "audit-entity" not in message.headers
    assert set(ids) == {"order:17", "order:stop"}
