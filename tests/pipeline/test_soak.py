"""Many messages, while workers and the broker are killed: none lost, and copies can be told."""

import asyncio
import json
import signal
import time

import pytest
from conftest import MakeTopology, StartWorker
from support.command import command_async
from support.queues import ProcessMessage, Queues, process_message
from support.topologies import TopologyFile, custom_node, pass_on, sink
from support.waiting import progress
from support.workers import WorkerProcess

from deploy.broker import Broker

MESSAGES = 3_000
KILLS = 5
RESTARTS = {1: "stop", 3: "kill"}
"""After which kill of the worker the broker is stopped or killed as well."""

BRANCHES = ("sink", "second")


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


@pytest.mark.timeout(1800)  # as long as messages arrive
async def test_every_message_arrives_in_both_branches_and_duplicates_have_equal_ids(
    own_broker: Broker, make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(
        pass_on("start", "copy", prefetch=50),
        custom_node("copy", "copy", "end", "other", prefetch=50),
        pass_on("end", "sink", prefetch=50),
        pass_on("other", "second", prefetch=50),
        *map(sink, BRANCHES),
    )
    worker = await start_worker(topology, max_deliveries=100)
    began = time.monotonic()
    share = MESSAGES // (KILLS + 1)
    for kill in range(KILLS + 1):
        numbers = range(kill * share, (kill + 1) * share)
        await queues.publish(topology.exchange("start"), *(process_message(number) for number in numbers))
        if kill < KILLS:
            await die(worker, own_broker, RESTARTS.get(kill))

    arrived = await arrive_in(topology, queues)
    copies = {branch: len(messages) - MESSAGES for branch, messages in arrived.items()}
    print(f"{MESSAGES} messages, duplicates {copies}, {time.monotonic() - began:.0f} s")
    ids = {message.headers["process-id"] for messages in arrived.values() for message in messages}
    assert len(ids) == 2 * MESSAGES, "one for each message of a branch"
    assert await trash(topology) == []


async def die(worker: WorkerProcess, broker: Broker, restart: str | None) -> None:
    """Kill the worker, and let the broker go as well if that is wanted; return when both are back."""
    worker.signal(signal.SIGKILL)
    await worker.ended()
    if restart:
        await asyncio.to_thread(getattr(broker, restart))
        await asyncio.to_thread(broker.start)
    await worker.start()
    await worker.wait_until_ready()


async def arrive_in(topology: TopologyFile, queues: Queues) -> dict[str, list[ProcessMessage]]:
    """Return what came by each branch, when all has come."""
    arrived: dict[str, list[ProcessMessage]] = {branch: [] for branch in BRANCHES}
    missing = {branch: set(range(MESSAGES)) for branch in BRANCHES}

    async def is_complete() -> bool:
        for branch in BRANCHES:
            messages = await queues.read_all(topology.queue(branch))
            arrived[branch] += messages
            missing[branch] -= {message.data for message in messages}
        return not any(missing.values())

    await progress(is_complete, lambda: sum(map(len, missing.values())), what="missing messages")
    return arrived


async def trash(topology: TopologyFile) -> object:
    """Return the entries of the worker's trash."""
    url = f"sqlite:///{topology.path.with_suffix('.sqlite')}"
    listed = await command_async("trash", "list", "--json", WORKER_TRASH_URL=url)
    assert listed.returncode == 0, listed.stderr
    return json.loads(listed.stdout)
