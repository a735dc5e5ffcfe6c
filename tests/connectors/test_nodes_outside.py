"""Ready nodes that reach outside: databases, other brokers, other topologies."""

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web
from conftest import MakeTopology, RunWorker
from support.databases import MakeDatabase
from support.nodes import outcome_of
from support.queues import Queues, process_message
from support.services import serving
from support.topologies import NodeEntry, connector, custom_node, sink
from support.visits import node
from support.waiting import eventually

from connectors import Forward, Message, Outcome, Page, Repeat, Trash
from connectors.clients import Clients
from connectors.nodes.amqp import AmqpPublish
from connectors.nodes.sql import SqlExecute, SqlQuery
from connectors.nodes.starting import StartTopology
from connectors.topologies import Topologies
from worker.actions.binding import configured
from worker.actions.registry import AnyAction
from worker.errors import ActionsError
from worker.modes.platform import PlatformStarter

VARIABLE = "ERP_ADDRESS"
CREATE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, shop TEXT, total NUMERIC(10, 2))"
INSERT = "INSERT INTO orders (id, shop, total) VALUES "


def fill(url: str, rows: int) -> None:
    values = ", ".join(f"({number}, '{'a' if number % 2 else 'b'}', {number}.5)" for number in range(1, rows + 1))
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path) as file:
            file.execute(CREATE)
            file.execute(INSERT + values)
        return
    with psycopg.connect(url) as connection:
        connection.execute(CREATE.encode())
        connection.execute((INSERT + values).encode())


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with 25 orders, whose address is in the variable."""
    url = make_database(request.param)
    fill(url, 25)
    monkeypatch.setenv(VARIABLE, url)
    return url


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    """Connections of the nodes."""
    opened = Clients()
    yield opened
    await opened.close()


async def outcome(
    action: AnyAction, clients: Clients, configuration: Mapping[str, Any], data: Any = None, **headers: Any
) -> Outcome:
    action.clients = clients
    return await outcome_of(action, {"url_variable": VARIABLE, **configuration}, data, **headers)


async def test_a_query_makes_a_message_of_each_row(
    database: str, make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, tmp_path: Path
) -> None:
    statement = "SELECT id, total FROM orders WHERE shop = :shop;"
    configuration = {"url_variable": VARIABLE, "statement": statement, "key": "id", "page_size": 4}
    configuration |= {"incremental": True, "parameters": {"shop": {"jmespath": "shop"}}}
    settings = {"actionPath": "/batch/sql-query/action", "configuration": configuration}
    topology = make_topology(NodeEntry("orders", ["sink"], "worker.batch", settings=settings), sink())
    await run_worker(topology, SqlQuery(), node_variables=VARIABLE, storage_url=f"sqlite:///{tmp_path}/storage.sqlite")
    await queues.publish(topology.exchange("orders"), process_message({"shop": "a"}))
    rows = [message.data for message in await queues.read(topology.queue("sink"), 13)]
    assert sorted(row["id"] for row in rows) == list(range(1, 26, 2))
    assert {float(row["total"]) for row in rows} == {number + 0.5 for number in range(1, 26, 2)}


async def test_a_query_goes_on_after_the_last_key(database: str, clients: Clients) -> None:
    configuration = {"statement": "SELECT * FROM orders", "key": "id", "page_size": 20}
    first = await outcome(SqlQuery(), clients, configuration)
    assert isinstance(first, Page)
    assert first.next_cursor == '["int", "20"]'
    second = await outcome(SqlQuery(), clients, configuration, cursor=first.next_cursor)
    assert isinstance(second, Page)
    assert ([row["id"] for row in second.items], second.next_cursor) == ([21, 22, 23, 24, 25], None)


async def test_a_key_may_be_text(database: str, clients: Clients) -> None:
    statement = "SELECT shop, count(*) AS orders FROM orders GROUP BY shop"
    first = await outcome(SqlQuery(), clients, {"statement": statement, "key": "shop", "page_size": 1})
    assert isinstance(first, Page)
    again = {"statement": statement, "key": "shop", "page_size": 1}
    second = await outcome(SqlQuery(), clients, again, cursor=first.next_cursor)
    assert isinstance(second, Page)
    assert [first.items[0]["shop"], second.items[0]["shop"]] == ["a", "b"]


async def test_a_statement_returns_rows_or_counts_changes(database: str, clients: Clients) -> None:
    by_id = {"parameters": {"id": {"jmespath": "id"}}}
    changed = await outcome(
        SqlExecute(), clients, {"statement": "DELETE FROM orders WHERE id < :id", **by_id}, {"id": 3}
    )
    assert isinstance(changed, Forward)
    assert changed.message.data == {"rows": [], "count": 2}
    read = await outcome(
        SqlExecute(), clients, {"statement": "SELECT id FROM orders WHERE id < :id", **by_id}, {"id": 5}
    )
    assert isinstance(read, Forward)
    assert read.message.data == {"rows": [{"id": 3}, {"id": 4}], "count": 2}


@pytest.mark.parametrize("columns", ["id, id", "id, total AS id", "id, shop, id"])
async def test_two_columns_of_one_name_are_refused(database: str, clients: Clients, columns: str) -> None:
    refused = await outcome(SqlExecute(), clients, {"statement": f"SELECT {columns} FROM orders"})
    assert isinstance(refused, Trash)
    assert "two columns of the result have the name 'id', and only one would be kept: use AS" in refused.reason


async def test_what_the_database_refuses_goes_to_the_trash(database: str, clients: Clients) -> None:
    refused = await outcome(SqlExecute(), clients, {"statement": "INSERT INTO orders (id) VALUES (1)"})
    assert isinstance(refused, Trash)
    assert "id" in refused.reason


async def test_a_database_that_is_away_repeats(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://somebody:secret@127.0.0.1:9/none")
    away = await outcome(SqlExecute(), clients, {"statement": "SELECT 1"})
    assert isinstance(away, Repeat)
    assert "secret" not in away.reason


@pytest.mark.parametrize(
    ("action", "address", "more", "said"),
    [
        (SqlExecute(), None, {"statement": "SELECT 1"}, ".url_variable: Value error, the environment variable ERP"),
        (SqlExecute(), "nonsense", {"statement": "SELECT 1"}, "ERP_ADDRESS holds no address of a database"),
        (SqlQuery(), "sqlite:///x", {"statement": "SELECT 1", "key": "a b"}, ".key: String should match"),
        (AmqpPublish(), "http://host", {"routing_key": "x"}, "ERP_ADDRESS holds no address of a broker"),
    ],
)
def test_a_wrong_address_ends_the_start(
    action: AnyAction, address: str | None, more: Mapping[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if address:
        monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(ActionsError) as caught:
        configured(action, node(configuration={"url_variable": VARIABLE, **more}))
    assert said in str(caught.value)


async def test_a_message_is_published_to_a_queue_of_somebody_else(
    broker_url: str, make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, broker_url)
    configuration = {"url_variable": VARIABLE, "routing_key": {"jmespath": "queue"}, "body": {"jmespath": "order"}}
    topology = make_topology(connector("publish", "amqp-publish", "sink", configuration=configuration), sink())
    foreign = topology.queue("foreign")
    channel = await queues.channel()
    await channel.queue_declare(foreign, durable=True)
    worker = await run_worker(topology, AmqpPublish(), node_variables=VARIABLE)
    sent = [process_message({"queue": foreign, "order": {"id": number}}) for number in range(3)]
    await queues.publish(topology.exchange("publish"), *sent, process_message({"queue": "nobody-has-it", "order": 1}))
    assert len(await queues.read(topology.queue("sink"), 3)) == 3
    taken = [await channel.basic_get(foreign, no_ack=True) for _ in sent]
    assert sorted(json.loads(one.body)["id"] for one in taken) == [0, 1, 2]
    assert {one.header.properties.message_id for one in taken} == {one.headers["process-id"] for one in sent}
    (entry,) = await eventually(worker.worker.handler.trash.store.waiting, what="an entry in the trash")
    assert entry.reason is not None
    assert "no queue takes it" in entry.reason
    await channel.queue_delete(foreign)


async def test_a_broker_that_is_away_repeats(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "amqp://somebody:secret@127.0.0.1:9/")
    away = await outcome(AmqpPublish(), clients, {"routing_key": "x"})
    assert isinstance(away, Repeat)
    assert "secret" not in away.reason


async def test_another_topology_is_started_by_name_and_by_id(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    invoices = make_topology(sink("begin"))
    await queues.declare(invoices.exchange("begin"), invoices.queue("begin"))
    by_name = {"topology": "faults", "node": "begin", "body": {"jmespath": "invoice"}, "user": {"jmespath": "who"}}
    by_id = {"topology": invoices.id, "node": invoices.node_id("begin"), "by_id": True}
    topology = make_topology(
        custom_node("named", "start-topology", "sink", configuration=by_name),
        custom_node("identified", "start-topology", "sink", configuration=by_id),
        custom_node("unknown", "start-topology", "sink", configuration={"topology": "nobody"}),
        sink(),
    )
    worker = await run_worker(topology, StartTopology())
    sent = process_message({"invoice": {"id": 7}, "who": "bob"}, user="alice")
    for name in ("named", "identified", "unknown"):
        await queues.publish(topology.exchange(name), sent)
    started = {message.body: message.headers for message in await queues.read(invoices.queue("begin"), 2)}
    assert started['{"id":7}']["user"] == "bob"
    assert started[sent.body]["user"] == "alice"
    for headers in started.values():
        assert headers["previous-correlation-id"] == sent.headers["correlation-id"] != headers["correlation-id"]
    assert [one.data for one in await queues.read(topology.queue("sink"), 2)] == [sent.data, sent.data]
    (entry,) = await eventually(worker.worker.handler.trash.store.waiting, what="an entry in the trash")
    assert "there is no node 'start' of a topology 'nobody'" in str(entry.reason)


async def test_the_platforms_starting_point_is_asked() -> None:
    seen: list[tuple[str, str]] = []
    told: list[list[str | None]] = []
    statuses = [200, 503, 404]
    names = ("Orchesty-Api-Key", "Authorization", "previous-correlation-id", "previous-node-id", "sdk")

    async def run(request: web.Request) -> web.Response:
        seen.append((request.path, await request.text()))
        told.append([request.headers.get(name) for name in names])
        return web.Response(status=statuses.pop(0), text="no such topology")

    async with serving(run) as url:
        starter = PlatformStarter(url.removeprefix("http://"), "key")
        topologies = Topologies(starter)
        message: Message[Any] = Message({"correlation-id": "c", "node-id": "n", "sdk": "mý", "user": "alice"}, "{}")
        await topologies.start(message, "invoices", data={"id": 1})
        with pytest.raises(Repeat):
            await topologies.start(Message({"sdk": "a\nb"}, "{}"), "t1", "n1", by_id=True, user="")
        with pytest.raises(Trash, match="404: no such topology"):
            await topologies.start(message, "a/b")
        await starter.close()
    assert seen[0] == ("/topologies/invoices/nodes/start/user/alice/run-by-name", '{"id":1}')
    assert told[0] == ["key", "key", "c", "n", "mý"]
    assert seen[1][0] == "/topologies/t1/nodes/n1/run"
    assert told[1] == ["key", "key", "", "", None], "no header can have a line feed"


@pytest.mark.parametrize("action", [SqlExecute(), AmqpPublish()])
def test_a_node_reads_no_variable_but_those_that_are_named(action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "amqp://localhost" if isinstance(action, AmqpPublish) else "sqlite:///a.db"
    more = {"routing_key": "a"} if isinstance(action, AmqpPublish) else {"statement": "SELECT 1"}
    for name in ("ERP_URL", "WORKER_DATABASE_URL", "worker_database_url"):
        monkeypatch.setenv(name, address)
    erp = node(configuration={"url_variable": "ERP_URL", **more})
    assert configured(action, erp, ("ERP_URL",)) is not action
    with pytest.raises(ActionsError, match="may not use ERP_URL: set WORKER_NODE_VARIABLES=SHOP,ERP_URL"):
        configured(action, erp, ("SHOP",))
    for name in ("WORKER_DATABASE_URL", "worker_database_url"):
        own = node(configuration={"url_variable": name, **more})
        for allowed in (None, (name,)):
            with pytest.raises(ActionsError, match="is a setting of the worker"):
                configured(action, own, allowed)
