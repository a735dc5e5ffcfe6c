"""SIGTERM: what is in work finishes, what is not goes back, nothing stays with the worker that is gone."""

import asyncio
import signal

import pytest
from conftest import MakeTopology, StartWorker
from support.queues import Queues, bodies, process_message
from support.topologies import TopologyFile, connector, custom_node, sink
from support.waiting import eventually
from support.workers import WorkerProcess

from deploy.broker import Broker
from deploy.ports import free_ports

QUICKLY_SECONDS = 5
LONG = {"seconds": 60}


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


@pytest.fixture
def topology(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(custom_node("work", "sleep", "sink", prefetch=2, timeout=120), sink())


async def until_in_work(worker: WorkerProcess, count: int) -> None:
    async def is_in_work() -> bool:
        return await worker.in_work() == count

    await eventually(is_in_work, what=f"{count} messages in work")


async def lengths(queues: Queues, topology: TopologyFile) -> tuple[int, int]:
    """Count what waits before the work and after it; a message that is unacknowledged is in neither."""
    return await queues.length(topology.queue("work")), await queues.length(topology.queue("sink"))


async def test_messages_in_work_finish_and_those_that_wait_stay_in_the_broker(
    topology: TopologyFile, queues: Queues, start_worker: StartWorker
) -> None:
    worker = await start_worker(topology)
    await queues.publish(topology.exchange("work"), *(process_message({"seconds": 2}) for _ in range(6)))
    await until_in_work(worker, 2)

    worker.signal(signal.SIGTERM)

    assert await worker.ended() == 0
    assert await lengths(queues, topology) == (4, 2)
    assert [line["event"] for line in worker.lines] == ["worker_started", "worker_stopping", "worker_stopped"]


async def test_a_message_finishes_although_others_wait_for_a_consumer_meanwhile(
    topology: TopologyFile, queues: Queues, start_worker: StartWorker
) -> None:
    worker = await start_worker(topology, silence_seconds=0.2)
    await queues.publish(topology.exchange("work"), process_message({"seconds": 2}))
    await until_in_work(worker, 1)

    worker.signal(signal.SIGTERM)
    await eventually(lambda: worker.logged("worker_stopping"), what="worker_stopping")
    await queues.publish(topology.exchange("work"), process_message({"seconds": 2}))

    assert await worker.ended() == 0
    assert await lengths(queues, topology) == (1, 1)
    assert not worker.logged("consumer_restarted")


@pytest.mark.timing
async def test_a_message_that_outlives_the_grace_is_handed_back(
    topology: TopologyFile, queues: Queues, start_worker: StartWorker
) -> None:
    worker = await start_worker(topology, grace=0.5)
    await queues.publish(topology.exchange("work"), *(process_message(LONG) for _ in range(3)))
    await until_in_work(worker, 2)

    worker.signal(signal.SIGTERM)

    assert await worker.ended(seconds=QUICKLY_SECONDS) == 0
    assert await lengths(queues, topology) == (3, 0)


@pytest.mark.timing
async def test_another_worker_takes_over_what_was_handed_back(
    topology: TopologyFile, queues: Queues, start_worker: StartWorker
) -> None:
    first = await start_worker(topology, grace=0)
    numbers = range(4)
    await queues.publish(
        topology.exchange("work"), *(process_message({"seconds": 0.5, "number": number}) for number in numbers)
    )
    await until_in_work(first, 2)
    await start_worker(topology)

    first.signal(signal.SIGTERM)

    assert await first.ended(seconds=QUICKLY_SECONDS) == 0
    arrived = await queues.read(topology.queue("sink"), len(numbers))
    assert sorted(message.data["number"] for message in arrived) == list(numbers)


@pytest.mark.timing
async def test_a_second_signal_ends_at_once(topology: TopologyFile, queues: Queues, start_worker: StartWorker) -> None:
    worker = await start_worker(topology)
    await queues.publish(topology.exchange("work"), process_message(LONG))
    await until_in_work(worker, 1)

    worker.signal(signal.SIGTERM)
    await eventually(lambda: worker.logged("worker_stopping"), what="worker_stopping")
    worker.signal(signal.SIGTERM)

    assert await worker.ended(seconds=QUICKLY_SECONDS) == 128 + signal.SIGTERM
    assert await lengths(queues, topology) == (1, 0)
    assert worker.logged("worker_forced")


@pytest.mark.timing
async def test_a_message_whose_action_does_not_answer_is_handed_back_without_waiting_for_the_grace(
    make_topology: MakeTopology, queues: Queues, start_worker: StartWorker
) -> None:
    (nobody,) = free_ports(1)
    topology = make_topology(connector("work", "away", "sink", url=f"http://127.0.0.1:{nobody}"), sink())
    worker = await start_worker(topology, max_failures=1000)
    await queues.publish(topology.exchange("work"), process_message("stays"))
    await eventually(lambda: len(worker.logged("action_unreachable")) > 2, what="action_unreachable")

    worker.signal(signal.SIGTERM)

    assert await worker.ended(seconds=QUICKLY_SECONDS) == 0
    assert bodies(await queues.read(topology.queue("work"), 1)) == ["stays"]


@pytest.mark.timing
async def test_it_ends_quickly_while_the_broker_is_away(
    own_broker: Broker, topology: TopologyFile, start_worker: StartWorker
) -> None:
    worker = await start_worker(topology)
    await asyncio.to_thread(own_broker.stop)
    await eventually(lambda: worker.logged("waiting_for_broker"), what="waiting_for_broker")

    worker.signal(signal.SIGTERM)

    assert await worker.ended(seconds=QUICKLY_SECONDS) == 0
    await asyncio.to_thread(own_broker.start)


@pytest.mark.timing
async def test_a_message_in_work_when_the_broker_goes_comes_back_with_it(
    own_broker: Broker, topology: TopologyFile, queues: Queues, start_worker: StartWorker
) -> None:
    worker = await start_worker(topology)
    await queues.publish(topology.exchange("work"), process_message(LONG))
    await until_in_work(worker, 1)
    await asyncio.to_thread(own_broker.stop)

    worker.signal(signal.SIGTERM)

    assert await worker.ended(seconds=QUICKLY_SECONDS) == 0
    await asyncio.to_thread(own_broker.start)
    await eventually(lambda: queues.length(topology.queue("work")), what="the message")
    assert await lengths(queues, topology) == (1, 0)
