"""A process whose event loop is blocked for ever ends; one that is only slow, or is stopped for a while, goes on."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from conftest import MakeTopology, StartWorker
from support.command import command_async
from support.queues import Queues, bodies, process_message
from support.topologies import custom_node, sink
from support.waiting import eventually

PROGRAM = """
import asyncio, re, sys, threading, time
import structlog
from worker.app.ending import HardEnd
from worker.app.standstill import ended_when_blocked

async def block():
    print("begins", flush=True)
    {statement}

async def main():
    with ended_when_blocked({seconds}, HardEnd()):
        await asyncio.gather(*(block() for _ in range({times})))

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(main())
print("has ended by itself")
"""
SECONDS = 0.5
DELIVERIES = 6
"""So often the guilty message comes: twice beside the others, and three times as a suspect; then it is in the trash."""
FOR_EVER = {
    "a loop": "while True: pass",
    "a lock": "threading.Event().wait()",
    "a call": "time.sleep(600)",
}
HOLDS_THE_INTERPRETER = "re.fullmatch(r'(a+)+', 'a' * 50 + 'b')"


Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that blocks its loop so, several times without a turn between."""
    with ExitStack() as stack:

        def started(statement: str, *, seconds: float = SECONDS, times: int = 1) -> Process:
            program = PROGRAM.format(statement=statement, seconds=seconds, times=times)
            command = [sys.executable, "-c", program]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield started


@pytest.mark.parametrize("statement", FOR_EVER.values(), ids=FOR_EVER)
def test_a_process_that_is_blocked_for_ever_ends_and_says_where_it_stood(start: Start, statement: str) -> None:
    process = start(statement)
    out, log = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "begins\n")
    assert "event_loop_blocked" in log
    assert "in block" in log


def test_so_does_one_in_a_call_that_lets_no_thread_run(start: Start) -> None:
    process = start(HOLDS_THE_INTERPRETER)
    out, log = process.communicate(timeout=30)
    assert (process.returncode, out) == (signal.SIGVTALRM, "begins\n")
    assert "in block" in log


def test_so_does_one_whose_log_nobody_reads(start: Start) -> None:
    process = start(f"sys.stderr.write('x' * 65_536); sys.stderr.flush(); {HOLDS_THE_INTERPRETER}")
    assert process.wait(timeout=30) == signal.SIGVTALRM


def test_calls_that_block_one_after_the_other_are_not_the_end(start: Start) -> None:
    process = start("time.sleep(0.2)", times=8)
    assert process.communicate(timeout=30)[0].endswith("has ended by itself\n")
    assert process.returncode == 0


def test_without_a_limit_nothing_is_the_end(start: Start) -> None:
    process = start("time.sleep(1.5)", seconds=0)
    assert process.communicate(timeout=30)[0].endswith("has ended by itself\n")


@pytest.mark.parametrize("wait", ["await asyncio.sleep(0.02)", "time.sleep(0.02)"], ids=["it waits", "it blocks"])
def test_time_in_which_the_process_was_stopped_does_not_count(start: Start, wait: str) -> None:
    process = start(f"for left in range(15): {wait}; print(left, flush=True)")
    assert process.stdout is not None
    while process.stdout.readline() != "7\n":
        pass
    process.send_signal(signal.SIGSTOP)
    time.sleep(3 * SECONDS)
    process.send_signal(signal.SIGCONT)
    out, log = process.communicate(timeout=30)
    assert (out.splitlines()[-1], log) == ("has ended by itself", "")


async def test_a_message_that_blocks_its_process_for_ever_ends_in_the_trash_and_no_other_notices(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("work", "hang-when-told", "sink", prefetch=16, timeout=900), sink())
    worker = await start_worker(topology, processes=2, blocked_seconds=1, max_deliveries=DELIVERIES)
    guilty, innocents = process_message("in a loop"), [process_message(number) for number in range(16)]
    await queues.publish(topology.exchange("work"), guilty, *innocents)

    arrived = bodies(await queues.read(topology.queue("sink"), len(innocents), seconds=60))

    async def trashed() -> list[dict[str, str]]:
        url = f"sqlite:///{topology.path.with_suffix('.sqlite')}"
        return list(json.loads((await command_async("trash", "list", "--json", WORKER_TRASH_URL=url)).stdout))

    (entry,) = await eventually(trashed, seconds=60, what="the guilty one in the trash")
    assert sorted(arrived) == list(range(16))
    assert entry["reason"].startswith(f"delivered {DELIVERIES} times")
    ends = worker.logged("worker_killed")
    assert len(ends) == len(worker.logged("event_loop_blocked")) == DELIVERIES - 1
    assert all("support/actions.py" in line["busy_at"][-1] for line in ends)
    assert [line["cause"] for line in worker.logged("worker_process_ended")] == ["exit status 1"] * (DELIVERIES - 1)
    await eventually(lambda: worker.has_status(200), what="a healthy worker")
