"""A broker that confirms late: what is being published when the worker stops is published once."""

import asyncio
from typing import Any

from conftest import MakeTopology, RunWorker
from support.proxy import Lost, Proxy
from support.queues import Queues, bodies, process_message
from support.topologies import custom_node, sink
from support.waiting import eventually

from connectors import CustomNode, Message


class CopyOrWait(CustomNode[Any, Any]):
    """Passes on what is not `stays`, and tells when it is cancelled."""

    name = "copy-or-wait"

    def __init__(self) -> None:
        self.waits, self.cancelled = asyncio.Event(), asyncio.Event()

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message, or never."""
        if message.data != "stays":
            return message
        self.waits.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return message


async def test_what_is_being_published_at_the_end_of_the_grace_is_published_once(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, proxy: Proxy
) -> None:
    topology, action = make_topology(custom_node("work", "copy-or-wait", "sink"), sink()), CopyOrWait()
    worker = await run_worker(topology, action, amqp_url=proxy.url, grace=0.2)
    with proxy.holding(Lost.CONFIRM):
        await queues.publish(topology.exchange("work"), process_message("goes"), process_message("stays"))
        await action.waits.wait()
        await eventually(lambda: queues.length(topology.queue("sink")), what="a message that is not confirmed")
        worker.worker.stop()
        await action.cancelled.wait()
    await eventually(lambda: not worker.worker.in_work, what="the end of both")

    assert bodies(await queues.read(topology.queue("work"), 1)) == ["stays"]
    assert await queues.length(topology.queue("work")) == 0
    assert bodies(await queues.read(topology.queue("sink"), 1)) == ["goes"]
    assert worker.worker.counts[topology.node_id("work"), "done"] == 1
