"""A consumer that is cancelled: what it hands back is not given to it again."""

import asyncio
from contextlib import suppress

from conftest import MakeTopology
from support.queues import Queues, process_message
from support.topologies import sink

from worker.broker.consumer import QueueConsumer
from worker.broker.link import Session
from worker.broker.opening import broker_url as parsed
from worker.broker.opening import open_connection
from worker.protocol.transport import Delivery

IN_WORK = 5


async def test_nothing_is_begun_any_more(make_topology: MakeTopology, queues: Queues, broker_url: str) -> None:
    topology = make_topology(sink())
    name = topology.queue("sink")
    await queues.declare(topology.exchange("sink"), name)
    await queues.publish(topology.exchange("sink"), *(process_message(number) for number in range(100)))
    begun: list[Delivery] = []
    are_in_work = asyncio.Event()

    async def work(delivery: Delivery) -> None:
        begun.append(delivery)
        if len(begun) == IN_WORK:
            are_in_work.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.3)  # it takes its time to end: the broker delivers again meanwhile

    async with await open_connection(parsed(broker_url), "test") as connection:
        session = Session(connection)
        running = asyncio.ensure_future(QueueConsumer(name, IN_WORK, work).run(session))
        await are_in_work.wait()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert len(begun) == IN_WORK
    assert len(await queues.read(name, 100)) == 100
