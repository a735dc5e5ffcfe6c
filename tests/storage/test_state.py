"""Incremental state: saved only once the broker has the items of the page."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.queues import Queues, bodies, process_message
from support.topologies import NodeEntry, sink
from support.waiting import eventually
from support.workers import InProcess

from connectors import Batch, Message, Page
from deploy.redis import PrivateRedis
from worker.storage.opening import open_storage


class ListOrders(Batch[Any, Any]):
    """Two orders to a page, those after the last one that was seen."""

    name = "list-orders"

    def __init__(self) -> None:
        self.last = 5
        self.asked: list[str | None] = []

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        state = self.storage.state(message)
        seen = await state.load()
        self.asked.append(seen)
        first = int(cursor or seen or 0) + 1
        numbers = [number for number in (first, first + 1) if number <= self.last]
        if not numbers:
            return Page([])
        newest = str(numbers[-1])
        return Page(numbers, next_cursor=newest if numbers[-1] < self.last else None, confirmed=state.saving(newest))


class ListOneOrder(ListOrders):
    """One order; the page is returned when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.last = 1
        self.began, self.go = asyncio.Event(), asyncio.Event()

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        page = await super().page(message, cursor)
        self.began.set()
        await self.go.wait()
        return page


def batch_node(name: str, *followers: str) -> NodeEntry:
    return NodeEntry(name, followers, "worker.batch", settings={"actionPath": "/batch/list-orders/action"})


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/storage.sqlite"


async def test_the_next_run_begins_where_the_last_one_ended(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, url: str
) -> None:
    topology, orders = make_topology(batch_node("orders", "sink"), sink()), ListOrders()
    worker: InProcess = await run_worker(topology, orders, storage_url=url)
    await queues.publish(topology.exchange("orders"), process_message(None, user="alice"))
    assert bodies(await queues.read(topology.queue("sink"), 5)) == [1, 2, 3, 4, 5]
    pages = (topology.node_id("orders"), "done")
    await eventually(lambda: worker.worker.counts[pages] == 3, what="the third page, saved after its items arrived")
    orders.last = 7
    await queues.publish(topology.exchange("orders"), process_message(None, user="alice"))
    assert bodies(await queues.read(topology.queue("sink"), 2)) == [6, 7]
    await queues.publish(topology.exchange("orders"), process_message(None, user="bob"))
    assert len(bodies(await queues.read(topology.queue("sink"), 7))) == 7


async def test_nothing_is_saved_while_the_broker_does_not_take_the_items(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, url: str
) -> None:
    topology, orders = make_topology(batch_node("orders", "sink"), sink()), ListOrders()
    orders.last = 2
    worker: InProcess = await run_worker(topology, orders, storage_url=url)
    await queues.declare(topology.exchange("sink"), topology.queue("sink"))
    channel = await queues.channel()
    await channel.queue_unbind(topology.queue("sink"), topology.exchange("sink"), routing_key="1")
    await queues.publish(topology.exchange("orders"), process_message(None, user="alice"))
    await eventually(lambda: worker.worker.parts.publisher.refusals > 0, what="a refusal")
    storage = open_storage(url)
    state = storage.state(Message({"user": "alice", "node-id": topology.node_id("orders")}, ""))
    assert await state.load() is None
    await channel.queue_bind(topology.queue("sink"), topology.exchange("sink"), routing_key="1")
    assert bodies(await queues.read(topology.queue("sink"), 2)) == [1, 2]
    assert await eventually(state.load, what="the state") == "2"
    await storage.close()


async def test_a_state_that_the_storage_does_not_take_is_saved_when_it_is_back(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    own_redis: PrivateRedis,
    log_lines: Sequence[Mapping[str, Any]],
) -> None:
    topology, orders = make_topology(batch_node("orders", "sink"), sink()), ListOneOrder()
    worker: InProcess = await run_worker(topology, orders, storage_url=own_redis.url)
    await queues.publish(topology.exchange("orders"), process_message(None, user="alice"))
    await orders.began.wait()
    own_redis.stop()
    orders.go.set()

    assert bodies(await queues.read(topology.queue("sink"), 1)) == [1]
    await eventually(lambda: [line for line in log_lines if line["event"] == "storage_away"], what="storage_away")
    done = (topology.node_id("orders"), "done")
    assert (worker.worker.in_work, worker.worker.counts[done]) == (1, 0)
    own_redis.start()

    await eventually(lambda: worker.worker.counts[done] == 1, what="the end of the message")
    storage = open_storage(own_redis.url)
    assert await storage.state(Message({"user": "alice", "node-id": topology.node_id("orders")}, "")).load() == "1"
    assert await queues.length(topology.queue("sink")) == 0
    await storage.close()
