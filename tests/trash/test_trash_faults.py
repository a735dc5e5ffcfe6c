"""The trash while its database is away, floods, and what the worker does for it by itself."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from conftest import MakeTopology, RunWorker
from support.databases import KINDS, MakeDatabase, private_postgres
from support.entries import numbered
from support.proxy import Lost, Proxy
from support.queues import Queues, process_message
from support.topologies import NodeEntry, custom_node, pass_on, sink
from support.waiting import eventually
from support.workers import InProcess

from connectors import CustomNode, Message, Trash
from deploy.databases import PrivateMongo, PrivateServer
from worker.broker.link import Link
from worker.broker.publisher import Publisher
from worker.protocol.message import now_ms
from worker.trash import deciding, keeping
from worker.trash.entry import Entry, EntryState
from worker.trash.opening import open_trash
from worker.trash.store import CHUNK, Search

Lines = Sequence[Mapping[str, Any]]
DAY_MS = 24 * 3_600_000


class Refuse(CustomNode[Any, Any]):
    """Sends every message to the trash."""

    name = "refuse"

    async def process(self, message: Message[Any]) -> Message[Any]:
        raise Trash("no stock")


def logged(lines: Lines, event: str) -> Callable[[], Lines]:
    return lambda: [line for line in lines if line["event"] == event]


async def in_trash(worker: InProcess, count: int = 1) -> Sequence[Entry]:
    async def all_there() -> Sequence[Entry]:
        found = await worker.worker.handler.trash.store.waiting()
        return found if len(found) == count else ()

    return await eventually(all_there, seconds=40, what="entries in the trash")


@pytest.mark.parametrize("kind", ["postgresql", "mongodb"])
async def test_a_message_waits_in_the_broker_while_the_database_is_stopped(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, log_lines: Lines, kind: str
) -> None:
    with private_postgres() if kind == "postgresql" else closing(PrivateMongo()) as server:
        server.start()
        topology = make_topology(custom_node("start", "refuse"))
        options = "" if kind == "postgresql" else "?serverSelectionTimeoutMS=300"
        worker = await run_worker(topology, Refuse(), trash_url=server.url + options)
        await queues.publish(topology.exchange("start"), process_message(1))
        await in_trash(worker)
        await stop_and_start(server, worker, queues, topology.exchange("start"), log_lines)
        await in_trash(worker, 2)
        await eventually(lambda: worker.worker.in_work == 0, what="the acknowledgement")
        assert await queues.length(topology.queue("start")) == 0
        await worker.worker.handler.trash.store.close()


async def stop_and_start(
    server: PrivateServer, worker: InProcess, queues: Queues, exchange: str, log_lines: Lines
) -> None:
    await asyncio.to_thread(server.stop)
    await queues.publish(exchange, process_message(2))
    (line, *_) = await eventually(logged(log_lines, "trash_away"), seconds=30, what="a log line")
    assert line["consequence"] == "the message waits in the broker"
    assert await worker.in_work() == 1
    await asyncio.to_thread(server.start)


async def test_a_message_waits_while_the_password_is_wrong_and_the_log_says_so(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    log_lines: Lines,
    make_database: MakeDatabase,
) -> None:
    right = make_database("postgresql")
    wrong = right.replace(":secret@", ":hunter2@")
    topology = make_topology(custom_node("start", "refuse"))
    worker = await run_worker(topology, Refuse(), trash_url=wrong)
    await queues.publish(topology.exchange("start"), process_message(1))
    (line, *_) = await eventually(logged(log_lines, "trash_away"), seconds=30, what="a log line")
    assert 'password authentication failed for user "worker"' in line["cause"]
    assert "hunter2" not in str(log_lines)
    worker.worker.stop()
    await eventually(lambda: queues.length(topology.queue("start")), seconds=20, what="the message in its queue")
    other = await run_worker(topology, Refuse(), trash_url=right)
    await in_trash(other)


async def test_a_flood_of_equal_messages_is_counted_and_told(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, log_lines: Lines
) -> None:
    topology = make_topology(custom_node("start", "refuse", prefetch=1))
    worker = await run_worker(topology, Refuse(), trash_flood_limit=2)
    run = {"correlation-id": str(uuid4())}
    await queues.publish(topology.exchange("start"), *(process_message(number, **run) for number in range(5)))
    lines = await eventually(lambda: logged(log_lines, "trash_flooded")()[2:], what="three log lines")
    oldest, other = await in_trash(worker, 2)
    assert (oldest.more, other.more, lines[0]["countedOn"]) == (3, 0, oldest.id)
    assert "+3 equal" in await worker.command("trash", "list")
    assert "3 more, only counted" in await worker.command("trash", "show", oldest.id)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_worker_deletes_what_was_decided_long_ago(
    make_topology: MakeTopology, run_worker: RunWorker, make_database: MakeDatabase, log_lines: Lines, kind: str
) -> None:
    url = make_database(kind)
    store = open_trash(url)
    await store.put(numbered(1, state=EntryState.APPROVED, updated=now_ms() - 31 * DAY_MS))
    await store.put(numbered(2, state=EntryState.APPROVED, updated=now_ms() - 29 * DAY_MS))
    await store.put(numbered(3, updated=now_ms() - 99 * DAY_MS))
    await run_worker(make_topology(pass_on("start")), trash_url=url)
    (line,) = await eventually(logged(log_lines, "trash_purged"), what="a log line")
    assert line["entries"] == 1
    assert await store.ids(Search(states=frozenset(EntryState))) == [numbered(2).id, numbered(3).id]
    await store.close()


async def test_the_worker_deletes_what_waited_too_long_where_it_is_told_to(
    make_topology: MakeTopology, run_worker: RunWorker, make_database: MakeDatabase, log_lines: Lines
) -> None:
    url = make_database("sqlite")
    store = open_trash(url)
    for number, days in enumerate((99, 97)):
        await store.put(numbered(number, updated=now_ms() - days * DAY_MS))
    await run_worker(make_topology(pass_on("start")), trash_url=url, trash_keep_waiting_days=98)
    (line,) = await eventually(logged(log_lines, "trash_purged"), what="a log line")
    assert line["entries"] == 1
    assert await store.ids(Search(states=frozenset(EntryState))) == [numbered(1).id]
    await store.close()


async def test_a_database_that_does_not_answer_is_told_and_waited_for(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    log_lines: Lines,
    make_database: MakeDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "STORE_SECONDS", 0.5)
    url = make_database("postgresql")
    topology = make_topology(custom_node("start", "refuse"))
    worker = await run_worker(topology, Refuse(), trash_url=url)
    await worker.worker.handler.trash.store.waiting()
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE trash IN ACCESS EXCLUSIVE MODE")
        await queues.publish(topology.exchange("start"), process_message(1))
        (line, *_) = await eventually(logged(log_lines, "trash_away"), what="a log line")
        assert (line["cause"], worker.worker.in_work) == ("no answer within 0.5 s", 1)
    await in_trash(worker)
    await eventually(lambda: worker.worker.in_work == 0, what="the acknowledgement")


async def test_rejecting_a_user_task_ends_its_process(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(NodeEntry("ask", ("sink",), "worker.user"), sink())
    worker = await run_worker(topology)
    await queues.publish(topology.exchange("ask"), process_message("first"), process_message("second"))
    first, second = await in_trash(worker, 2)
    assert first.reason is None
    await worker.command("trash", "reject", first.id)
    await worker.command("trash", "approve", second.id)
    done = (topology.node_id("ask"), "done")
    await eventually(lambda: worker.worker.counts[done] == 2, what="both messages through")
    assert [message.body for message in await queues.read_all(topology.queue("sink"))] == [second.body]


async def test_an_edited_unreadable_message_is_approved_and_arrives(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await run_worker(topology)
    await queues.publish_raw(topology.exchange("start"), b'{"headers": {"user": "alice"}, "body": "x"')
    (entry,) = await in_trash(worker)
    assert "could not be read and cannot be sent on" in await worker.command("trash", "approve", entry.id, status=1)
    await worker.command("trash", "edit", entry.id, EDITOR=r"sed -i s/$/\}/")
    await worker.command("trash", "approve", "--all", "--yes")
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert (message.body, message.headers["user"]) == ("x", "alice")


async def test_what_the_broker_does_not_take_waits_again_and_the_command_says_why(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await run_worker(topology)
    store = worker.worker.handler.trash.store
    for number in range(3):
        await store.put(numbered(number, return_exchange="no-such-exchange" if number else topology.exchange("start")))
    text = await worker.command("trash", "approve", "--all", "--yes", status=1)
    assert f"{numbered(0).id} approved\n2 entries wait again: NOT_FOUND - no exchange 'no-such-exchange'" in text
    assert [entry.id for entry in await store.waiting()] == [numbered(1).id, numbered(2).id]


async def test_a_broker_that_does_not_confirm_is_told_and_the_entry_waits_again(
    make_topology: MakeTopology,
    make_database: MakeDatabase,
    queues: Queues,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deciding, "PATIENCE_SECONDS", 0.5)
    topology = make_topology(pass_on("start"))
    await queues.declare(topology.exchange("start"), topology.queue("start"))
    store = open_trash(make_database("sqlite"))
    await store.put(numbered(1, return_exchange=topology.exchange("start")))
    publisher = Publisher()
    running = asyncio.ensure_future(Link(proxy.url, "test", publisher.serve).run())
    await publisher.wait_until_open()
    with proxy.losing(Lost.CONFIRM):
        decider = deciding.Decider(store, publisher)
        await decider.decide([numbered(1).id], EntryState.APPROVED)
    running.cancel()
    assert decider.tally.refused == {numbered(1).id: deciding.NO_ANSWER}
    assert [entry.id for entry in await store.waiting()] == [numbered(1).id]
    await store.close()


IMPATIENT = """
import sys, worker.trash.deciding, worker.cli
worker.trash.deciding.PATIENCE_SECONDS = 0.5
worker.cli.main()
"""


@pytest.mark.parametrize("is_json", [False, True])
async def test_what_was_not_tried_when_the_broker_stopped_answering_is_told(
    make_topology: MakeTopology, make_database: MakeDatabase, queues: Queues, proxy: Proxy, *, is_json: bool
) -> None:
    topology = make_topology(pass_on("start"))
    await queues.declare(topology.exchange("start"), topology.queue("start"))
    url = make_database("sqlite")
    store = open_trash(url)
    for number in range(CHUNK + 20):
        await store.put(numbered(number, return_exchange=topology.exchange("start")))
    arguments = ["trash", "approve", "--all", "--yes", *(["--json"] if is_json else [])]
    with proxy.losing(Lost.CONFIRM, after=1):  # the first one tells that the broker can serve
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", IMPATIENT, *arguments),
            env={**os.environ, "WORKER_AMQP_URL": proxy.url, "WORKER_TRASH_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert process.returncode == 1, err.decode()
    if is_json:
        tally = json.loads(out)
        assert set(tally["refused"]) == {numbered(number).id for number in range(CHUNK)}
        assert tally["untried"] == [numbered(number).id for number in range(CHUNK, CHUNK + 20)]
    else:
        assert "20 entries were not tried" in err.decode()
    assert len(await store.waiting()) == CHUNK + 20
    await store.close()
