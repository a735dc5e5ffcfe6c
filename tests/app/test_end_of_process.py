"""The process ends when it is told to, whatever actions, threads and readers of its log do."""

import signal
import subprocess
import sys

import pytest
from conftest import MakeTopology, StartWorker
from support.queues import Queues, bodies, process_message
from support.topologies import custom_node, sink
from support.waiting import eventually
from support.workers import WorkerProcess

QUICKLY_SECONDS = 8
"""More than a forced end takes; less than the grace."""


async def until_in_work(worker: WorkerProcess) -> None:
    async def is_in_work() -> bool:
        return await worker.in_work() == 1

    await eventually(is_in_work, what="a message in work")


@pytest.mark.timing
async def test_an_action_that_swallows_its_cancel_survives_neither_the_grace_nor_the_second_signal(
    make_topology: MakeTopology, queues: Queues, start_worker: StartWorker
) -> None:
    topology = make_topology(custom_node("work", "sleep-stubbornly", "sink", timeout=900), sink())
    worker = await start_worker(topology, grace=600)
    await queues.publish(topology.exchange("work"), process_message({"seconds": 600}))
    await until_in_work(worker)

    worker.signal()
    await eventually(lambda: worker.logged("worker_stopping"), what="worker_stopping")
    worker.signal()

    assert await worker.ended(seconds=QUICKLY_SECONDS) == 128 + signal.SIGTERM
    assert worker.logged("worker_killed")
    await eventually(lambda: queues.length(topology.queue("work")), what="the message back in its queue")


@pytest.mark.timing
@pytest.mark.parametrize("action", ["block-the-thread", "hold-the-interpreter"])
async def test_an_action_that_holds_up_the_whole_process_does_not_survive_the_second_signal(
    make_topology: MakeTopology, queues: Queues, start_worker: StartWorker, action: str
) -> None:
    topology = make_topology(custom_node("work", action, "sink", timeout=900), sink())
    worker = await start_worker(topology, grace=600)
    await queues.publish(topology.exchange("work"), process_message("x"))
    await eventually(lambda: worker.logged("held up"), what="the action at work")

    worker.signal()
    worker.signal(signal.SIGINT)

    assert await worker.ended(seconds=QUICKLY_SECONDS) in {128 + signal.SIGTERM, 128 + signal.SIGINT, 1}
    await eventually(lambda: queues.length(topology.queue("work")), what="the message back in its queue")


@pytest.mark.timing
async def test_a_thread_that_an_action_left_behind_does_not_hold_up_the_end(
    make_topology: MakeTopology, queues: Queues, start_worker: StartWorker
) -> None:
    topology = make_topology(custom_node("work", "leave-a-thread", "sink"), sink())
    worker = await start_worker(topology, grace=600)
    await queues.publish(topology.exchange("work"), process_message("x"))
    assert bodies(await queues.read(topology.queue("sink"), 1)) == ["x"]

    worker.signal()

    assert await worker.ended(seconds=QUICKLY_SECONDS) == 0
    (line,) = worker.logged("worker_killed")
    assert line["busy_at"]


def test_a_signal_that_comes_while_the_worker_is_imported_ends_it() -> None:
    """As PID 1 of a container no signal ends a program that does not handle it, as here one that is ignored."""
    command = ["env", "--ignore-signal=TERM", sys.executable, "-X", "importtime", "-m", "worker", "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith("click.core"):
            process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    assert "worker.cli" not in line
