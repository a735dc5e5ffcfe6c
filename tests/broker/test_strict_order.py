"""Nodes with prefetch 1: one worker consumes, others stand by and take over without a swap."""

import signal
import time

import pytest
from conftest import MakeTopology, RunWorker, StartWorker
from support.ordering import RepeatMarked, SleepAtRandom, numbers, swaps
from support.queues import Queues, process_message
from support.topologies import TopologyFile, custom_node, sink
from support.waiting import eventually, timely
from support.workers import InProcess, WorkerProcess

from worker.pipeline import hold

TAKEOVER_SECONDS = 5
ACTIONS = "support.ordering"


@pytest.fixture
def topology(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(custom_node("work", "sleep-at-random", "sink", prefetch=1), sink())


async def state(worker: InProcess | WorkerProcess) -> str:
    return str((await worker.probe())[1].get("nodes", {}).get("work"))


async def consumes(worker: WorkerProcess) -> bool:
    return await state(worker) == "consuming"


async def test_one_worker_consumes_and_the_others_are_ready_and_stand_by(
    topology: TopologyFile, queues: Queues, run_worker: RunWorker
) -> None:
    first = await run_worker(topology, SleepAtRandom())
    await eventually(lambda: first.worker.describe()["nodes"]["work"] == "consuming", what="a consumer")
    second = await run_worker(topology, SleepAtRandom())

    assert second.is_ready
    assert await state(second) == "standing by"
    assert 'orchesty_worker_standing_by{topology="faults",node="work"} 1' in await second.get("/metrics")
    assert await queues.consumers(topology.queue("work")) == 1

    first.worker.stop()
    await eventually(lambda: second.worker.describe()["nodes"]["work"] == "consuming", what="a takeover")


async def test_no_message_is_swapped_when_the_consuming_worker_is_killed_again_and_again(
    topology: TopologyFile, queues: Queues, start_worker: StartWorker
) -> None:
    workers = [await start_worker(topology, actions=ACTIONS) for _ in range(2)]
    messages = [process_message({"n": n, "seconds": 0.02}) for n in range(400)]
    await queues.publish(topology.exchange("work"), *messages)

    for done in (50, 150, 250):
        await eventually(lambda done=done: arrived(queues, topology, done), seconds=30, what=f"{done} messages")
        dying = await eventually(lambda: consuming(workers), what="a consumer")
        dying.signal(signal.SIGKILL)
        await dying.ended()
        others = [worker for worker in workers if worker is not dying]
        await eventually(lambda others=others: consuming(others), what="a takeover")
        await dying.start()
        await dying.wait_until_ready()

    received = await queues.read(topology.queue("sink"), 400, seconds=30)
    await eventually(lambda: is_done(queues, topology, workers), seconds=30, what="an end")
    received += await queues.read_all(topology.queue("sink"))
    assert swaps(received) == []
    assert numbers(received) == list(range(400))


@pytest.mark.timing
async def test_another_worker_takes_over_soon(topology: TopologyFile, start_worker: StartWorker) -> None:
    workers = [await start_worker(topology, actions=ACTIONS) for _ in range(2)]
    dying = await eventually(lambda: consuming(workers), what="a consumer")
    dying.signal(signal.SIGKILL)
    await dying.ended()
    died = time.monotonic()
    await eventually(lambda: consuming([worker for worker in workers if worker is not dying]), what="a takeover")
    assert time.monotonic() - died < timely(TAKEOVER_SECONDS)


async def arrived(queues: Queues, topology: TopologyFile, count: int) -> bool:
    return await queues.length(topology.queue("sink")) >= count


async def consuming(workers: list[WorkerProcess]) -> WorkerProcess | None:
    return next(iter([worker for worker in workers if await consumes(worker)]), None)


async def is_done(queues: Queues, topology: TopologyFile, workers: list[WorkerProcess]) -> bool:
    return not await queues.length(topology.queue("work")) and not sum([await w.in_work() for w in workers])


async def test_a_worker_that_stops_hands_the_line_over_without_a_swap(
    topology: TopologyFile, queues: Queues, start_worker: StartWorker
) -> None:
    first = await start_worker(topology, actions=ACTIONS, grace=0.2)
    await eventually(lambda: consumes(first), what="a consumer")
    second = await start_worker(topology, actions=ACTIONS)
    await queues.publish(
        topology.exchange("work"), *(process_message({"n": n, "seconds": 3 if n == 5 else 0.02}) for n in range(50))
    )
    await eventually(lambda: holds(first), what="the slow message in work")

    first.signal(signal.SIGTERM)

    assert await first.ended() == 0
    received = await queues.read(topology.queue("sink"), 50, seconds=20)
    assert await consumes(second)
    assert swaps(received) == []
    assert numbers(received) == list(range(50))


async def holds(worker: WorkerProcess) -> bool:
    return await worker.in_work() == 1


@pytest.mark.parametrize(("holds_line", "expected"), [(True, [0, 1, 2, 3]), (False, [0, 2, 3, 1])])
async def test_a_repeated_message_holds_the_line_where_the_node_says_so(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, holds_line: bool, expected: list[int]
) -> None:
    topology = make_topology(
        custom_node("work", "repeat-marked", "sink", prefetch=1, repeatHoldsLine=holds_line), sink()
    )
    await run_worker(topology, RepeatMarked())
    await queues.publish(
        topology.exchange("work"), *(process_message({"n": n, "repeat": 1 if n == 1 else None}) for n in range(4))
    )

    assert [message.data["n"] for message in await queues.read(topology.queue("sink"), 4)] == expected


async def test_a_long_repeat_is_given_back_before_the_broker_loses_patience_and_waits_on(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "LONGEST_HOLD_SECONDS", 0.4)
    topology = make_topology(custom_node("work", "repeat-marked", "sink", prefetch=1, repeatHoldsLine=True), sink())
    worker = await run_worker(topology, RepeatMarked())
    await queues.publish(
        topology.exchange("work"), *(process_message({"n": n, "repeat": 3 if n == 1 else None}) for n in range(4))
    )

    assert [message.data["n"] for message in await queues.read(topology.queue("sink"), 4, seconds=20)] == [0, 1, 2, 3]
    restarts = worker.worker.parts.intake.restarts[topology.node_id("work"), "handed_back"]
    assert restarts >= 2
    assert worker.worker.counts[topology.node_id("work"), "trashed"] == 0


async def test_a_message_that_has_held_the_line_until_its_deliveries_run_out_is_parked(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "LONGEST_HOLD_SECONDS", 0.2)
    topology = make_topology(custom_node("work", "repeat-marked", "sink", prefetch=1, repeatHoldsLine=True), sink())
    worker = await run_worker(topology, RepeatMarked(), max_deliveries=3)
    await queues.publish(
        topology.exchange("work"), *(process_message({"n": n, "repeat": 8 if n == 0 else None}) for n in range(3))
    )

    assert [message.data["n"] for message in await queues.read(topology.queue("sink"), 3, seconds=40)] == [1, 2, 0]
    counts = {kind: count for (_, kind), count in worker.worker.counts.items()}
    assert (counts["repeated"], counts.get("trashed", 0)) == (1, 0)


async def test_a_message_that_holds_the_line_goes_to_the_next_worker_when_its_own_stops(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker
) -> None:
    topology = make_topology(custom_node("work", "repeat-marked", "sink", prefetch=1, repeatHoldsLine=True), sink())
    first = await run_worker(topology, RepeatMarked())
    await queues.publish(
        topology.exchange("work"), *(process_message({"n": n, "repeat": 4 if n == 0 else None}) for n in range(3))
    )
    await eventually(lambda: first.worker.in_work == 1, what="a message that holds the hold")

    first.worker.stop()
    await run_worker(topology, RepeatMarked())

    assert [message.data["n"] for message in await queues.read(topology.queue("sink"), 3, seconds=20)] == [0, 1, 2]
