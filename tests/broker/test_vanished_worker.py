"""A worker that is gone without a word: the broker notices and gives its messages to another one."""

import asyncio
import signal

import pytest
from conftest import MakeTopology, StartWorker
from support.queues import Queues, bodies, process_message
from support.topologies import custom_node, sink
from support.waiting import eventually

from worker.broker.link import Link, Session


@pytest.mark.parametrize(("query", "seconds"), [("", 10), ("?heartbeat=3", 3)], ids=["by default", "in the address"])
async def test_the_broker_is_asked_for_heartbeats(broker_url: str, query: str, seconds: int) -> None:
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(session: Session) -> None:
        found.set_result(session.underlay.connection_tune.heartbeat)
        await session.wait_until_lost()

    running = asyncio.create_task(Link(f"{broker_url}{query}", "test", serve).run())
    assert await found == seconds
    running.cancel()


async def test_its_messages_go_to_another_worker(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues, broker_url: str
) -> None:
    topology = make_topology(custom_node("work", "sleep", "sink"), sink())
    first = await start_worker(topology, amqp_url=f"{broker_url}?heartbeat=2")
    await queues.publish(topology.exchange("work"), process_message({"seconds": 1}))
    await eventually(first.in_work, what="a message in work")
    first.signal(signal.SIGSTOP)
    try:
        await start_worker(topology)
        assert bodies(await queues.read(topology.queue("sink"), 1, seconds=30)) == [{"seconds": 1}]
    finally:
        first.signal(signal.SIGCONT)
