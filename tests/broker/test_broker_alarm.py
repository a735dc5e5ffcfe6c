"""A broker that is short of memory slows publishers down: what needs no publishing goes on."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.queues import Queues, bodies, process_message
from support.rabbitmqctl import memory_alarm, unacknowledged
from support.topologies import custom_node, sink
from support.waiting import eventually

from connectors import CustomNode, Forward, Message, Outcome, Stop
from deploy.broker import Broker

LogLines = Sequence[Mapping[str, Any]]


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


class GoOrStop(CustomNode[Any, Any]):
    """Does what the body says, when the test lets it."""

    name = "go-or-stop"

    def __init__(self) -> None:
        self.begun = 0
        self.may_go, self.may_stop = asyncio.Event(), asyncio.Event()

    async def process(self, message: Message[Any]) -> Outcome:
        """Go on or stop."""
        self.begun += 1
        await (self.may_go if message.data == "go" else self.may_stop).wait()
        return Forward(message) if message.data == "go" else Stop("enough")


async def test_a_broker_that_slows_publishers_down_still_gets_acknowledgements(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, own_broker: Broker, log_lines: LogLines
) -> None:
    topology, action = make_topology(custom_node("work", "go-or-stop", "sink"), sink()), GoOrStop()
    worker = await run_worker(topology, action, silence_seconds=0.3)
    await queues.publish(topology.exchange("work"), process_message("go"), process_message("stop"))
    await eventually(lambda: action.begun == 2, what="two messages in work")

    with memory_alarm(own_broker):
        action.may_go.set()
        action.may_stop.set()
        await eventually(lambda: worker.worker.in_work == 1, what="the end of the one that publishes nothing")
        assert await eventually(lambda: is_only_one_left(own_broker, topology.queue("work")), seconds=30)
        assert await queues.length(topology.queue("sink")) == 0
        status, described = await worker.probe("/readyz")
        assert (status, described["status"]) == (503, "blocked by the broker")
        assert described["blocked"] == {"publish": "low on memory"}
        assert 'orchesty_worker_blocked{connection="publish"} 1' in worker.worker.metrics()

    assert bodies(await queues.read(topology.queue("sink"), 1)) == ["go"]
    await eventually(lambda: worker.worker.in_work == 0, what="the end of the other")
    assert worker.is_ready
    (line,) = (line for line in log_lines if line["event"] == "broker_blocked")
    assert (line["connection"], line["cause"]) == ("publish", "low on memory")
    assert [line["connection"] for line in log_lines if line["event"] == "broker_unblocked"] == ["publish"]
    assert [link.losses for link in worker.worker.parts.links] == [0, 0]


async def is_only_one_left(broker: Broker, queue: str) -> bool:
    return await asyncio.to_thread(unacknowledged, broker, queue) == 1
