"""Nodes with `orderBy`: the messages of a key in order, the others beside them, over workers that come and go."""

import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker, StartWorker
from support.command import command_async
from support.ordering import RepeatMarked, SleepAtRandom, swaps
from support.queues import Queues, process_message
from support.topologies import TopologyFile, custom_node, sink
from support.waiting import eventually, progress
from support.workers import WorkerProcess

from worker.broker.partitions import PARTITIONS, routing_key

ACTIONS = "support.ordering"
KEYS = 100
BIG = 2_000
SECONDS = 0.05
"""An action takes half of it on average."""

Ordered = Callable[..., TopologyFile]


@pytest.fixture
async def ordered(make_topology: MakeTopology, queues: Queues) -> AsyncIterator[Ordered]:
    """Make topologies with a node `work` in order; the partitions are deleted when the workers have stopped."""
    made: list[TopologyFile] = []

    def make(*, action: str = "sleep-at-random", **settings: Any) -> TopologyFile:
        made.append(make_topology(custom_node("work", action, "sink", **settings), sink()))
        return made[-1]

    yield make
    for topology in made:
        node = f"node.{topology.node_id('work')}"
        for name in ("workers", *range(1, PARTITIONS + 1)):
            await queues.delete(f"{node}.keys", f"{node}.order.{name}")


async def shares(workers: Sequence[WorkerProcess]) -> list[int]:
    """Return how many partitions each worker consumes."""
    states = [str((await worker.probe())[1].get("nodes", {}).get("work", "")) for worker in workers]
    return [int(state.split()[1]) if state.startswith("consuming") else 0 for state in states]


async def are_shared(workers: Sequence[WorkerProcess]) -> bool:
    found = await shares(workers)
    return sum(found) == PARTITIONS and max(found) - min(found) <= 1


async def test_messages_of_a_key_keep_their_order_and_others_pass_them(
    ordered: Ordered, queues: Queues, run_worker: RunWorker
) -> None:
    topology = ordered(prefetch=20, orderBy="body:key")
    await run_worker(topology, SleepAtRandom())
    await queues.publish(
        topology.exchange("work"), *(process_message({"n": n, "key": n % 20, "seconds": 0.05}) for n in range(400))
    )

    received = await queues.read(topology.queue("sink"), 400, seconds=30)

    assert swaps(received) == []
    assert [message.data["n"] for message in received] != list(range(400)), "keys must pass one another"


def test_the_partition_of_a_key_is_the_same_at_all_times() -> None:
    assert routing_key("alice") == "8.69b5957599f918e276a3d2428acdc997"
    assert {routing_key(str(number)).split(".")[0] for number in range(1000)} == {str(n + 1) for n in range(PARTITIONS)}


async def test_the_test_would_see_a_swap(ordered: Ordered, queues: Queues, run_worker: RunWorker) -> None:
    topology = ordered(prefetch=20)
    await run_worker(topology, SleepAtRandom())
    await queues.publish(
        topology.exchange("work"), *(process_message({"n": n, "key": n % 5, "seconds": 0.05}) for n in range(400))
    )

    assert swaps(await queues.read(topology.queue("sink"), 400, seconds=30)) != []


@pytest.mark.timeout(600)  # 200 s were seen on two processors that others used as well; each step has its own limit
async def test_no_key_is_out_of_order_on_four_workers_that_are_killed_and_join(
    ordered: Ordered, queues: Queues, start_worker: StartWorker
) -> None:
    topology = ordered(prefetch=20, orderBy="body:key")
    workers = [await start_worker(topology, actions=ACTIONS) for _ in range(3)]
    await eventually(lambda: are_shared(workers), seconds=60, what="three equal shares")
    messages = [process_message({"n": n, "key": n % KEYS, "seconds": 2 * SECONDS}) for n in range(BIG)]
    await queues.publish(topology.exchange("work"), *messages)

    await comes(queues, topology, BIG // 10)
    workers.append(await start_worker(topology, actions=ACTIONS, is_awaited=False))
    for index, done in ((0, 2), (1, 4), (2, 6)):
        await comes(queues, topology, BIG * done // 10)
        workers[index].signal(signal.SIGKILL)
        await workers[index].ended()
        await workers[index].start()
    await comes(queues, topology, BIG)
    await eventually(lambda: are_shared(workers), seconds=60, what="four equal shares")
    await eventually(lambda: is_done(workers), seconds=60, what="an end")

    received = await queues.read_all(topology.queue("sink"))
    assert swaps(received) == []
    assert {message.data["n"] for message in received} == set(range(BIG))


async def comes(queues: Queues, topology: TopologyFile, count: int) -> None:
    """Return when so many messages have come out, as long as they do come."""
    length = partial(queues.length, topology.queue("sink"))
    await progress(lambda: arrived(queues, topology, count), length, what=f"{count} messages")


@pytest.mark.timing
async def test_messages_of_many_keys_are_done_faster_than_one_by_one(
    ordered: Ordered, queues: Queues, run_worker: RunWorker
) -> None:
    together = await rate(ordered(prefetch=20, orderBy="body:key"), queues, run_worker, 600)
    alone = await rate(ordered(prefetch=1), queues, run_worker, 60)
    print(f"{together:.0f} messages/s by key, {alone:.0f} with prefetch 1")
    assert together >= 3 * alone


async def rate(topology: TopologyFile, queues: Queues, run_worker: RunWorker, count: int) -> float:
    """Return how many messages a second pass the node in a worker."""
    await run_worker(topology, SleepAtRandom())
    messages = [process_message({"n": n, "key": n % KEYS, "seconds": SECONDS}) for n in range(count)]
    started = time.monotonic()
    await queues.publish(topology.exchange("work"), *messages)
    await comes(queues, topology, count)
    return count / (time.monotonic() - started)


async def test_a_key_in_a_header_and_repeats_that_hold_its_line_but_not_those_of_other_keys(
    ordered: Ordered, queues: Queues, run_worker: RunWorker
) -> None:
    topology = ordered(action="repeat-marked", prefetch=5, orderBy="header:customer", repeatHoldsLine=True)
    await run_worker(topology, RepeatMarked())
    sent = [(0, "a", 2), (1, "b", None), (2, "a", None), (3, "b", 1), (4, "a", None), (5, "b", None)]
    await queues.publish(
        topology.exchange("work"),
        *(process_message({"n": n, "key": key, "repeat": repeat}, customer=key) for n, key, repeat in sent),
    )

    received = await queues.read(topology.queue("sink"), 6)

    assert [message.data["n"] for message in received] == [1, 3, 5, 0, 2, 4]


async def test_a_worker_that_stops_gives_its_partitions_to_the_others_without_a_swap(
    ordered: Ordered, queues: Queues, start_worker: StartWorker
) -> None:
    topology = ordered(prefetch=10, orderBy="body:key")
    workers = [await start_worker(topology, actions=ACTIONS) for _ in range(2)]
    await eventually(lambda: are_shared(workers), seconds=60, what="two equal shares")
    messages = [process_message({"n": n, "key": n % 10, "seconds": 0.1}) for n in range(1000)]
    await queues.publish(topology.exchange("work"), *messages)
    await eventually(lambda: arrived(queues, topology, 100), seconds=20, what="a tenth")

    workers[0].signal(signal.SIGTERM)

    assert await workers[0].ended() == 0
    await eventually(lambda: are_shared(workers[1:]), seconds=20, what="one share")
    received = await queues.read(topology.queue("sink"), 1000, seconds=60)
    assert swaps(received) == []
    assert len({message.data["n"] for message in received}) == 1000, "a graceful stop does nothing twice"


async def test_a_worker_that_has_just_come_takes_nothing_from_another_but_takes_over_when_it_is_alone(
    ordered: Ordered, start_worker: StartWorker
) -> None:
    topology = ordered(prefetch=10, orderBy="body:key")
    workers = [await start_worker(topology, actions=ACTIONS)]
    await eventually(lambda: are_shared(workers), seconds=20, what="all partitions")

    workers.append(await start_worker(topology, actions=ACTIONS))
    assert (await workers[1].probe())[1]["nodes"]["work"] == "standing by"
    assert await shares(workers) == [PARTITIONS, 0]
    workers[0].signal(signal.SIGKILL)

    await eventually(lambda: are_shared(workers[1:]), seconds=10, what="a successor")


async def test_what_lies_in_partitions_when_a_node_has_lost_its_key_is_moved_back_in_order(
    ordered: Ordered,
    queues: Queues,
    start_worker: StartWorker,
    run_worker: RunWorker,
    broker_url: str,
    log_lines: Sequence[Mapping[str, Any]],
) -> None:
    topology = ordered(prefetch=1, orderBy="body:key")
    await (await start_worker(topology, actions=ACTIONS)).end()
    keys = f"node.{topology.node_id('work')}.keys"
    for n in range(200):
        body = json.dumps({"n": n, "key": n % 20, "seconds": 0})
        raw = json.dumps({"headers": process_message("").headers, "body": body}).encode()
        await queues.publish_raw(keys, raw, routing_key(str(n % 20)))
    topology.path.write_text(topology.path.read_text().replace('"orderBy": "body:key"', '"url": ""'))

    checked = await command_async("check", TOPOLOGY_JSON=str(topology.path), WORKER_AMQP_URL=broker_url)
    assert "work: 200" in checked.stdout
    await run_worker(topology, SleepAtRandom())

    received = await queues.read(topology.queue("sink"), 200, seconds=30)
    assert swaps(received) == []
    assert {message.data["n"] for message in received} == set(range(200))
    (line,) = (line for line in log_lines if line["event"] == "leftovers_found")
    assert line["messages"] == 200


async def test_what_cannot_be_read_goes_to_the_trash(ordered: Ordered, queues: Queues, run_worker: RunWorker) -> None:
    topology = ordered(prefetch=10, orderBy="body:key")
    worker = await run_worker(topology, SleepAtRandom())

    await queues.publish_raw(topology.exchange("work"), b"\xff no message")

    await eventually(lambda: worker.worker.counts[topology.node_id("work"), "trashed"] == 1, what="an entry")


async def arrived(queues: Queues, topology: TopologyFile, count: int) -> bool:
    return await queues.length(topology.queue("sink")) >= count


async def is_done(workers: Sequence[WorkerProcess]) -> bool:
    return not sum([await worker.in_work() for worker in workers])
