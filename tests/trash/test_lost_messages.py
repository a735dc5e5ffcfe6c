"""Messages whose node's queue is gone when they come back from a delay: seen, taken into the trash, and sent on."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.queues import Queues, process_message
from support.topologies import TopologyFile, custom_node, sink
from support.visits import node
from support.waiting import eventually
from support.workers import InProcess

from connectors import CustomNode, Message, Repeat
from worker.broker.delays import LOST, delayed
from worker.trash.making import QUEUE_GONE


class TwoTimes(CustomNode[Any, Any]):
    """Does its work at the second try."""

    name = "two-times"

    def __init__(self, seconds: float = 1) -> None:
        self._seconds = seconds
        self.is_asked = asyncio.Event()

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Repeat once; not what a person has sent on."""
        if "repeat-hops" not in message.headers and message.headers.get("user-task-state") != "accept":
            self.is_asked.set()
            raise Repeat(timedelta(seconds=self._seconds))
        return message


@pytest.fixture(autouse=True)
async def nothing_is_left(queues: Queues) -> AsyncIterator[None]:
    yield
    await queues.purge(LOST)


def orders(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(custom_node("pack", "two-times", "sink"), sink())


async def come_back(queues: Queues, count: int) -> None:
    async def are_there() -> bool:
        return await queues.length(LOST) >= count

    await eventually(are_there, seconds=20, what="the messages that come back")


async def test_a_message_without_its_queue_is_told_collected_and_sent_on(
    make_topology: MakeTopology, queues: Queues, broker_url: str
) -> None:
    topology, action = orders(make_topology), TwoTimes()
    worker = InProcess(topology, action, amqp_url=broker_url)
    async with worker.run():
        before = await queues.length(LOST)
        await queues.publish(topology.exchange("pack"), process_message({"order": 17}, user="alice"))
        async with asyncio.timeout(10):
            await action.is_asked.wait()
    await queues.delete_queue(topology.queue("pack"))
    await come_back(queues, before + 1)

    checked = await worker.command("check", "--json", status=1)  # no package has the action
    (found,) = [one for one in json.loads(checked) if one["check"] == "lost messages"]
    assert found["state"] == "warning"
    assert "trash collect" in found["cure"]
    assert f"{before + 1} entr" in await worker.command("trash", "collect")
    (entry,) = json.loads(await worker.command("trash", "list", "--json", "--node", "pack"))
    assert (entry["reason"], entry["user"], entry["message"]["body"]) == (QUEUE_GONE, "alice", '{"order": 17}')
    assert (entry["nodeName"], entry["topologyId"]) == ("pack", topology.id)
    assert "Nothing was lost" in await worker.command("trash", "collect")

    async with InProcess(topology, TwoTimes(), amqp_url=broker_url).run():
        await worker.command("trash", "approve", entry["id"])
        (message,) = await queues.read(topology.queue("sink"), 1)
    assert message.data == {"order": 17}


async def test_what_cannot_be_read_is_kept_as_it_came(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker
) -> None:
    worker = await run_worker(orders(make_topology), TwoTimes())
    before, parked = await queues.length(LOST), delayed(node("next", id="gone"), b"", 0.125, None)
    await queues.publish_raw(parked.exchange, b"\xff no message", parked.routing_key)
    await come_back(queues, before + 1)
    await worker.command("trash", "collect")
    (entry,) = json.loads(await worker.command("trash", "list", "--json", "--node", "gone"))
    assert not entry["isReadable"]
    assert entry["message"]["body"] == "\\xff no message"


@pytest.mark.parametrize("raw", [b"\xff no message", b'{"body": "{}"}'], ids=["unreadable", "readable"])
async def test_equal_messages_that_say_nothing_of_themselves_are_all_collected(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, raw: bytes
) -> None:
    worker = await run_worker(orders(make_topology), TwoTimes())
    before, parked = await queues.length(LOST), delayed(node("next", id="gone"), b"", 0.125, None)
    for _ in range(3):
        await queues.publish_raw(parked.exchange, raw, parked.routing_key, with_timestamp=False)
    await come_back(queues, before + 3)
    assert json.loads(await worker.command("trash", "collect", "--json")) == {"collected": before + 3}
    assert len(json.loads(await worker.command("trash", "list", "--json", "--node", "gone"))) == 3


async def test_a_worker_tells_how_many_there_are(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker
) -> None:
    worker = await run_worker(orders(make_topology), TwoTimes(), silence_seconds=1)
    parked = delayed(node("next", id="gone"), b"", 0.125, None)
    await queues.publish_raw(parked.exchange, b"{}", parked.routing_key)

    async def is_told() -> bool:
        text = await worker.get("/metrics")
        (value,) = [line.split()[1] for line in text.splitlines() if line.startswith("orchesty_worker_lost_messages ")]
        return int(value) == await queues.length(LOST) > 0

    await eventually(is_told, seconds=15, what="the metric")


async def test_a_message_comes_back_to_a_queue_that_was_deleted_under_its_worker(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker
) -> None:
    topology, action = orders(make_topology), TwoTimes(seconds=5)
    worker = await run_worker(topology, action)
    await queues.publish(topology.exchange("pack"), process_message({"order": 18}))
    async with asyncio.timeout(10):
        await action.is_asked.wait()

    async def is_idle() -> bool:
        return not await worker.in_work()

    await eventually(is_idle, what="the parked message")
    await queues.delete_queue(topology.queue("pack"))
    (message,) = await queues.read(topology.queue("sink"), 1, seconds=20)
    assert message.data == {"order": 18}


async def test_messages_of_a_deleted_node_do_not_hold_up_others(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker
) -> None:
    """RabbitMQ has 32 messages of a queue in hand that it cannot dead-letter; a few more would block it."""
    topology = orders(make_topology)
    await run_worker(topology, TwoTimes())
    before, parked = await queues.length(LOST), delayed(node("next", id="gone"), b"", 1, None)
    for _ in range(40):
        await queues.publish_raw(parked.exchange, parked.body, parked.routing_key)
    await come_back(queues, before + 40)
    await queues.publish(topology.exchange("pack"), process_message({"order": 19}))
    await queues.read(topology.queue("sink"), 1, seconds=20)
