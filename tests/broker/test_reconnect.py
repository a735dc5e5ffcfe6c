"""The worker goes on by itself, whatever happens between it and the broker."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker, StartWorker
from support.actions import Copy
from support.proxy import Lost, Proxy
from support.queues import Queues, bodies, process_message
from support.topologies import TopologyFile, custom_node, pass_on, sink
from support.waiting import eventually, timely
from support.workers import InProcess

from deploy.broker import Broker

NOTICED_SECONDS = 30
"""What the design promises for a connection that dies without a word."""

QUEUE_IS_SAFE_SECONDS = 4
"""RabbitMQ 3.10 writes the name of a new quorum queue to the disk three seconds later; after a crash before that the
queue is there, but never finds a leader."""

LogLines = Sequence[Mapping[str, Any]]


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


@pytest.fixture
def topology(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(pass_on("start", "copy"), custom_node("copy", "copy", "sink"), sink())


async def expect_work(queues: Queues, topology: TopologyFile, *, count: int = 20) -> None:
    """Send messages through the topology and read exactly these at its end."""
    await queues.publish(topology.exchange("start"), *(process_message(number) for number in range(count)))
    assert bodies(await queues.read(topology.queue("sink"), count, seconds=30)) == list(range(count))


def causes(log_lines: LogLines, event: str) -> list[str]:
    """Return the causes of all log lines with this event."""
    return [line["cause"] for line in log_lines if line["event"] == event]


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_it_goes_on_after_the_broker_was_away(
    end: str, own_broker: Broker, topology: TopologyFile, queues: Queues, run_worker: RunWorker
) -> None:
    worker = await run_worker(topology, Copy())
    await expect_work(queues, topology)
    assert await worker.has_status(200)
    if end == "kill":
        await asyncio.sleep(QUEUE_IS_SAFE_SECONDS)

    await asyncio.to_thread(getattr(own_broker, end))
    await eventually(lambda: worker.has_status(503), what="/healthz 503 while the broker is away")
    await asyncio.to_thread(own_broker.start)

    await eventually(lambda: worker.has_status(200), seconds=30, what="/healthz 200 when the broker is back")
    await expect_work(queues, topology)


async def test_started_before_the_broker_it_waits_and_says_so(
    own_broker: Broker, topology: TopologyFile, queues: Queues, start_worker: StartWorker
) -> None:
    await asyncio.to_thread(own_broker.stop)
    worker = await start_worker(topology, is_awaited=False)

    await eventually(lambda: len(worker.logged("waiting_for_broker")) > 2, what="waiting_for_broker in the log")
    assert await worker.has_status(503)
    assert await worker.has_status(503, "/readyz")
    await asyncio.to_thread(own_broker.start)
    await worker.wait_until_ready()

    await expect_work(queues, topology)
    assert await worker.has_status(200)
    line = worker.logged("waiting_for_broker")[0]
    assert line["level"] == "warning"
    assert own_broker.url.endswith(f"{line['broker']}/%2F")
    assert line["cause"].startswith("AMQPConnectionError")
    assert {line["event"] for line in worker.lines} <= {"worker_started", "waiting_for_broker"}


async def test_it_goes_on_after_a_connection_reset(
    topology: TopologyFile, queues: Queues, proxy: Proxy, run_worker: RunWorker
) -> None:
    worker = await run_worker(topology, Copy(), amqp_url=proxy.url)

    proxy.reset()
    await eventually(lambda: worker.has_status(503), what="/healthz 503 after the reset")
    await eventually(lambda: worker.has_status(200), what="/healthz 200 on new connections")

    await expect_work(queues, topology)


async def test_resets_at_any_moment_lose_nothing(
    topology: TopologyFile, queues: Queues, proxy: Proxy, run_worker: RunWorker
) -> None:
    workers = [
        await run_worker(topology, Copy(), amqp_url=proxy.url, silence_seconds=0.05, max_deliveries=1000)
        for _ in range(4)
    ]
    numbers = range(500)
    await queues.publish(topology.exchange("start"), *(process_message(number) for number in numbers))

    for _ in range(40):
        await asyncio.sleep(random.uniform(0, 0.4))
        proxy.reset()

    await eventually(lambda: all(worker.is_ready for worker in workers), seconds=30, what="ready workers")
    await eventually(lambda: is_idle(queues, topology, workers), seconds=30, what="empty queues")
    arrived = bodies(await queues.read_all(topology.queue("sink")))
    assert set(arrived) == set(numbers)


async def is_idle(queues: Queues, topology: TopologyFile, workers: Sequence[InProcess]) -> bool:
    waiting = [await queues.length(topology.queue(name)) for name in topology.consumed]
    return sum(waiting) == 0 and all(worker.worker.in_work == 0 for worker in workers)


@pytest.mark.timing
async def test_a_connection_that_dies_without_a_word_is_replaced(
    topology: TopologyFile, queues: Queues, proxy: Proxy, run_worker: RunWorker
) -> None:
    worker = await run_worker(topology, Copy(), amqp_url=proxy.url)
    await expect_work(queues, topology)

    proxy.blackhole()
    died = time.monotonic()
    await queues.publish(topology.exchange("start"), process_message("after"))
    await eventually(lambda: worker.has_status(503), seconds=NOTICED_SECONDS, what="/healthz 503")
    await eventually(lambda: worker.has_status(200), seconds=NOTICED_SECONDS, what="/healthz 200")
    (message,) = await queues.read(topology.queue("sink"), 1)

    assert message.data == "after"
    assert time.monotonic() - died < timely(NOTICED_SECONDS)


@pytest.mark.parametrize("name", ["start", "copy"])
async def test_a_deleted_queue_is_declared_again(
    name: str, topology: TopologyFile, queues: Queues, run_worker: RunWorker, log_lines: LogLines
) -> None:
    worker = await run_worker(topology, Copy())

    await queues.delete_queue(topology.queue(name))
    await eventually(lambda: causes(log_lines, "consumer_restarted"), what="consumer_restarted")
    await eventually(lambda: worker.has_status(200), what="/healthz 200 with a new queue")

    await expect_work(queues, topology)
    (cause,) = causes(log_lines, "consumer_restarted")
    assert "cancelled by the broker" in cause
    assert not causes(log_lines, "broker_lost")


async def test_a_queue_that_somebody_else_declares_again_is_consumed_again(
    topology: TopologyFile, queues: Queues, run_worker: RunWorker
) -> None:
    worker = await run_worker(topology, Copy())

    await queues.delete(topology.exchange("copy"), topology.queue("copy"))
    await queues.declare(topology.exchange("copy"), topology.queue("copy"))

    await expect_work(queues, topology)
    await eventually(lambda: worker.has_status(200), what="/healthz 200")


async def test_a_consumer_that_the_broker_does_not_know_any_more_is_restarted(
    topology: TopologyFile, queues: Queues, proxy: Proxy, run_worker: RunWorker, log_lines: LogLines
) -> None:
    worker = await run_worker(topology, Copy(), amqp_url=proxy.url, silence_seconds=0.2)

    with proxy.losing(Lost.CANCEL):
        await queues.delete_queue(topology.queue("copy"))
        await eventually(lambda: proxy.lost, what="the broker's cancel")
        await queues.declare(topology.exchange("copy"), topology.queue("copy"))
        await eventually(lambda: causes(log_lines, "consumer_restarted"), what="consumer_restarted")
    await eventually(lambda: worker.is_ready, what="a ready worker")

    await expect_work(queues, topology)
    assert "the broker knows no consumer of the queue" in causes(log_lines, "consumer_restarted")[0]


async def test_a_consumer_that_gets_nothing_although_messages_wait_is_restarted(
    topology: TopologyFile, queues: Queues, proxy: Proxy, run_worker: RunWorker, log_lines: LogLines
) -> None:
    worker = await run_worker(topology, Copy(), amqp_url=proxy.url, silence_seconds=0.2)
    numbers = range(30)

    with proxy.losing(Lost.DELIVER):
        await queues.publish(topology.exchange("start"), *(process_message(number) for number in numbers))
        await eventually(lambda: causes(log_lines, "consumer_restarted"), what="consumer_restarted")

    assert bodies(await queues.read(topology.queue("sink"), len(numbers))) == list(numbers)
    assert "silent although 20 messages wait" in causes(log_lines, "consumer_restarted")[0]
    await eventually(lambda: worker.has_status(200), what="/healthz 200")
