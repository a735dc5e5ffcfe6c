"""Nodes with `deduplicate`: what comes twice is dropped, and what is only delivered twice is not."""

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from conftest import MakeDatabase, MakeTopology, RunWorker, StartWorker
from pamqp.commands import Basic
from support.actions import Copy, RepeatOnce
from support.queues import ProcessMessage, Queues, process_message
from support.runs import until_run
from support.topologies import NodeEntry, TopologyFile, custom_node, sink
from support.waiting import eventually
from support.workers import InProcess

from connectors import Batch, CustomNode, Message, Page, Trash
from deploy.redis import PrivateRedis
from worker import load_settings
from worker.errors import SettingsError, TopologyError
from worker.protocol.topology_file import load_topology

AnyMessage = Message[Any]
HOUR = 3600


class FailOnce(CustomNode[Any, Any]):
    """Sends each key to the trash once."""

    name = "fail-once"

    def __init__(self) -> None:
        self.failed: set[object] = set()

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message the second time."""
        if message.data["order"] not in self.failed:
            self.failed.add(message.data["order"])
            raise Trash("once")
        return message


class Pages(Batch[Any, Any]):
    """Three pages of one item each."""

    name = "pages"

    async def page(self, message: AnyMessage, cursor: str | None) -> Page:
        """Return the next page."""
        number = int(cursor or "1")
        return Page([{"order": message.data["order"], "page": number}], str(number + 1) if number < 3 else None)


def once(by: str | None = None) -> Mapping[str, Any]:
    return {"deduplicate": {"seconds": HOUR} | ({"by": by} if by else {})}


@pytest.fixture
def topology(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(custom_node("work", "copy", "sink", **once("body:order")), sink())


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Mapping[str, str]:
    """The setting that names the store of marks."""
    if request.param == "redis":
        return {"redis_url": request.getfixturevalue("redis_url")}
    return {"database_url": make_database(request.param)}


def counts(worker: InProcess, topology: TopologyFile) -> dict[str, int]:
    return {kind: count for (node, kind), count in worker.worker.counts.items() if node == topology.node_id("work")}


async def finished(worker: InProcess, topology: TopologyFile, count: int) -> None:
    def is_finished() -> bool:
        found = counts(worker, topology)
        return sum(found.values()) - found.get("arrived", 0) == count and worker.worker.in_work == 0

    await eventually(is_finished, what=f"{count} finished messages")


async def test_of_two_messages_with_a_key_one_is_worked_on_and_the_other_counted(
    topology: TopologyFile,
    queues: Queues,
    run_worker: RunWorker,
    store: Mapping[str, str],
    log_lines: Sequence[Mapping[str, Any]],
) -> None:
    worker = await run_worker(topology, Copy(), **store)
    for order in (17, 18, 17, 17):
        await queues.publish(topology.exchange("work"), process_message({"order": order}))
    await finished(worker, topology, 4)

    assert sorted(message.data["order"] for message in await queues.read(topology.queue("sink"), 2)) == [17, 18]
    assert await queues.length(topology.queue("sink")) == 0
    assert counts(worker, topology) == {"arrived": 4, "done": 2, "duplicate": 2}
    assert len([line for line in log_lines if line["event"] == "message_duplicate"]) == 2
    assert 'outcome="duplicate"} 2' in await worker.get("/metrics")


async def test_by_default_a_message_that_was_published_again_with_its_process_id_is_dropped(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, store: Mapping[str, str]
) -> None:
    topology = make_topology(custom_node("work", "copy", "sink", **once()), sink())
    worker = await run_worker(topology, Copy(), **store)
    message = process_message({"order": 1})
    await queues.publish(topology.exchange("work"), message)
    await finished(worker, topology, 1)

    await queues.publish(topology.exchange("work"), message)

    await finished(worker, topology, 2)
    assert await queues.length(topology.queue("sink")) == 1
    assert counts(worker, topology)["duplicate"] == 1


async def test_messages_without_the_key_all_pass(
    topology: TopologyFile, queues: Queues, run_worker: RunWorker, store: Mapping[str, str]
) -> None:
    await run_worker(topology, Copy(), **store)
    broken = ProcessMessage(process_message({}).headers, "no JSON")
    await queues.publish(
        topology.exchange("work"), process_message({}), process_message({"order": None}), broken, broken
    )

    await eventually(lambda: is_full(queues, topology, 4), what="four messages")


async def is_full(queues: Queues, topology: TopologyFile, count: int) -> bool:
    return await queues.length(topology.queue("sink")) == count


async def test_a_repeated_message_is_no_duplicate_of_itself(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, store: Mapping[str, str]
) -> None:
    topology = make_topology(custom_node("work", "repeat-once", "sink", **once("body:order")), sink())
    worker = await run_worker(topology, RepeatOnce(), **store)
    await queues.publish(topology.exchange("work"), process_message({"order": 1, "seconds": 1}))
    await finished(worker, topology, 1)

    await queues.publish(topology.exchange("work"), process_message({"order": 1, "seconds": 1}))

    await queues.read(topology.queue("sink"), 1)
    await finished(worker, topology, 3)
    assert counts(worker, topology) == {"arrived": 3, "repeated": 1, "duplicate": 1, "done": 1}


async def test_the_next_pages_of_a_batch_are_no_duplicates(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, store: Mapping[str, str]
) -> None:
    """One after another, so that each page is settled before the next one is looked at."""
    settings = {"actionPath": "/batch/pages/action", "rabbitPrefetch": 1, **once()}
    topology = make_topology(NodeEntry("work", ["sink"], "worker.batch", settings=settings), sink())
    worker = await run_worker(topology, Pages(), **store)
    message = process_message({"order": 1})

    await queues.publish(topology.exchange("work"), message)
    await finished(worker, topology, 3)
    await queues.publish(topology.exchange("work"), message)
    await finished(worker, topology, 4)

    assert [message.data["page"] for message in await queues.read(topology.queue("sink"), 3)] == [1, 2, 3]
    assert counts(worker, topology) == {"arrived": 4, "done": 3, "duplicate": 1}


async def test_messages_wait_while_the_store_of_marks_is_away(
    topology: TopologyFile,
    queues: Queues,
    run_worker: RunWorker,
    own_redis: PrivateRedis,
    log_lines: Sequence[Mapping[str, Any]],
) -> None:
    worker = await run_worker(topology, Copy(), redis_url=own_redis.url)
    own_redis.stop()

    await queues.publish(topology.exchange("work"), process_message({"order": 1}))
    lines = await eventually(lambda: [line for line in log_lines if line["event"] == "deduplication_away"])
    assert (lines[0]["consequence"], worker.worker.in_work) == ("the message waits in the broker", 1)
    assert await queues.length(topology.queue("sink")) == 0
    own_redis.start()

    await finished(worker, topology, 1)
    assert counts(worker, topology) == {"arrived": 1, "done": 1}
    assert await queues.length(topology.queue("sink")) == 1


async def test_a_message_that_went_to_the_trash_leaves_its_key_and_may_be_approved(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, store: Mapping[str, str]
) -> None:
    topology = make_topology(custom_node("work", "fail-once", "sink", **once("body:order")), sink())
    worker = await run_worker(topology, FailOnce(), **store)
    await queues.publish(topology.exchange("work"), process_message({"order": 1}))
    await finished(worker, topology, 1)

    await queues.publish(topology.exchange("work"), process_message({"order": 1}))
    await finished(worker, topology, 2)
    await worker.command("trash", "approve", "--all", "--yes")

    assert len(await queues.read(topology.queue("sink"), 2)) == 2
    assert counts(worker, topology) == {"arrived": 3, "trashed": 1, "done": 2}


async def test_what_a_killed_worker_had_in_work_is_done_by_the_next_one(
    make_topology: MakeTopology, queues: Queues, start_worker: StartWorker, store: Mapping[str, str]
) -> None:
    topology = make_topology(custom_node("work", "sleep", "sink", **once("body:order")), sink())
    first = await start_worker(topology, **store)
    await queues.publish(topology.exchange("work"), process_message({"order": 1, "seconds": 1}))
    await eventually(first.in_work, what="a message in work")

    first.signal(signal.SIGKILL)
    await first.ended()
    await start_worker(topology, **store)

    assert len(await queues.read(topology.queue("sink"), 1)) == 1


class WaitFirst(CustomNode[Any, Any]):
    """Holds the first message until the test lets it go."""

    name = "wait-first"

    def __init__(self) -> None:
        self.began, self.go = asyncio.Event(), asyncio.Event()

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message."""
        self.began.set()
        await self.go.wait()
        return message


async def test_a_cancelled_message_leaves_its_key(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, store: Mapping[str, str]
) -> None:
    topology, action = (
        make_topology(custom_node("work", "wait-first", "sink", **once("body:order")), sink()),
        WaitFirst(),
    )
    worker = await run_worker(topology, action, **store)
    first = process_message({"order": 1})
    run = str(first.headers["correlation-id"])
    await queues.publish(topology.exchange("work"), first)
    await until_run(worker.worker.settings.process_address, run, lambda found: found.open == 1)
    await worker.command("processes", "cancel", run, "--yes")
    await eventually(lambda: run in worker.worker.parts.runs.runs._cancelled, what="the cancel")  # type: ignore[attr-defined]
    second = process_message({"order": 2}, **{"correlation-id": run})
    await queues.publish(topology.exchange("work"), second)
    await eventually(lambda: counts(worker, topology).get("cancelled") == 1, what="a cancelled message")
    action.go.set()

    await queues.publish(topology.exchange("work"), process_message({"order": 2}))

    await finished(worker, topology, 3)
    assert counts(worker, topology) == {"arrived": 3, "done": 2, "cancelled": 1}


async def bare(queues: Queues, topology: TopologyFile, **body: Any) -> None:
    """Publish as a sender does that knows no headers: nothing but the key tells messages apart."""
    raw = json.dumps({"headers": {}, "body": json.dumps(body)}).encode()
    exchange = topology.exchange("work")
    await (await queues.channel()).basic_publish(raw, exchange=exchange, routing_key="1", mandatory=True)


async def test_messages_without_ids_and_time_are_told_apart_by_their_first_delivery(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, store: Mapping[str, str]
) -> None:
    topology, action = (
        make_topology(custom_node("work", "wait-first", "sink", **once("body:order")), sink()),
        WaitFirst(),
    )
    worker = await run_worker(topology, action, **store)
    await bare(queues, topology, order=1)
    await action.began.wait()
    await bare(queues, topology, order=1)
    await eventually(lambda: counts(worker, topology).get("duplicate") == 1, what="a duplicate of what is in work")
    action.go.set()
    await eventually(lambda: counts(worker, topology).get("done") == 1, what="the first one done")

    await bare(queues, topology, order=1)

    await finished(worker, topology, 3)
    assert counts(worker, topology) == {"arrived": 3, "done": 1, "duplicate": 2}


async def test_a_message_without_ids_and_time_that_is_repeated_is_no_duplicate_of_itself(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, store: Mapping[str, str]
) -> None:
    topology = make_topology(custom_node("work", "repeat-once", "sink", **once("body:order")), sink())
    worker = await run_worker(topology, RepeatOnce(), **store)

    await bare(queues, topology, order=1, seconds=0.2)

    await finished(worker, topology, 2)
    assert counts(worker, topology) == {"arrived": 2, "repeated": 1, "done": 1}


async def test_a_message_without_ids_and_time_survives_the_death_of_its_worker(
    make_topology: MakeTopology, queues: Queues, start_worker: StartWorker, store: Mapping[str, str]
) -> None:
    topology = make_topology(custom_node("work", "sleep", "sink", **once("body:order")), sink())
    first = await start_worker(topology, **store)
    await bare(queues, topology, order=1, seconds=1)
    await eventually(first.in_work, what="a message in work")

    first.signal(signal.SIGKILL)
    await first.ended()
    await start_worker(topology, **store)

    assert len(await queues.read(topology.queue("sink"), 1)) == 1


async def test_what_was_done_and_comes_again_is_counted(
    topology: TopologyFile, queues: Queues, run_worker: RunWorker, store: Mapping[str, str]
) -> None:
    worker = await run_worker(topology, Copy(), **store)
    raw = json.dumps({"headers": process_message("").headers, "body": '{"order": 1}'}).encode()
    for _ in range(2):
        properties = Basic.Properties(headers={"published-timestamp": 1_700_000_000_000})
        channel = await queues.channel()
        await channel.basic_publish(raw, exchange=topology.exchange("work"), routing_key="1", properties=properties)
        await eventually(lambda: counts(worker, topology).get("done") == 1, what="the first one done")

    await finished(worker, topology, 2)
    assert counts(worker, topology) == {"arrived": 2, "done": 1, "done_before": 1}


def test_wrong_settings_of_nodes_name_the_cure(make_topology: MakeTopology) -> None:
    wrong = make_topology(
        custom_node("a", "copy", orderBy="order.id"),
        custom_node("b", "copy", deduplicate={"by": "body:[", "seconds": 0}),
    )
    with pytest.raises(TopologyError) as caught:
        load_topology(wrong.path)
    assert "$.nodes[0].settings.orderBy: Value error, 'order.id' names no key; write header:NAME" in str(caught.value)
    assert "$.nodes[1].settings.deduplicate.by: Value error, no JMESPath" in str(caught.value)
    assert "$.nodes[1].settings.deduplicate.seconds" in str(caught.value)

    unordered = make_topology(custom_node("a", "copy", repeatHoldsLine=True))
    with pytest.raises(TopologyError, match="keeps no order"):
        load_topology(unordered.path)


def test_a_mongodb_cannot_keep_the_marks() -> None:
    with pytest.raises(SettingsError, match="WORKER_REDIS_URL"):
        _ = load_settings(database_url="mongodb://localhost/worker").marks_address
