"""Standard input, output and error of a worker: closed, at a reader that hangs, at one that is gone."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from conftest import MakeTopology
from hypothesis import given, settings
from hypothesis import strategies as st
from support import prepared
from support.queues import Queues, bodies, process_message
from support.topologies import TopologyFile, custom_node, sink
from support.waiting import eventually, in_time
from support.workers import WorkerProcess

from worker.output import MOST_BYTES, Output

SECONDS = 30
SMALLEST_PIPE = 4096
CLOSED = ("/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")


@asynccontextmanager
async def running(worker: WorkerProcess, *, log: int) -> AsyncIterator[None]:
    """Run a worker that writes all it says there."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    process = prepared.start(["run"], worker._environment, stdin=nothing, stdout=log, stderr=log)
    os.close(nothing)
    os.close(log)
    ended = process.watched()
    try:
        await eventually(lambda: worker.has_status(200, "/readyz"), seconds=SECONDS, what="a ready worker")
        yield
        process.send_signal(signal.SIGTERM)
        assert await in_time(ended, seconds=SECONDS) == 0
    finally:
        if not ended.done():
            process.send_signal(signal.SIGKILL)
            await ended


@asynccontextmanager
async def running_closed(worker: WorkerProcess) -> AsyncIterator[None]:
    """Run a worker without standard streams."""
    command = (*CLOSED, sys.executable, "-m", "worker", "run")
    process = await asyncio.create_subprocess_exec(*command, env=worker._environment)
    try:
        await eventually(lambda: worker.has_status(200, "/readyz"), seconds=SECONDS, what="a ready worker")
        yield
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_worker_whose_standard_streams_are_closed_works_and_its_programs_read_nothing(
    make_topology: MakeTopology, queues: Queues, broker_url: str, processes: int
) -> None:
    topology = make_topology(custom_node("work", "read-input", "sink"), sink())
    worker = WorkerProcess(topology, amqp_url=broker_url, processes=processes)
    async with running_closed(worker):
        await queues.publish(topology.exchange("work"), process_message("x"))
        assert bodies(await queues.read(topology.queue("sink"), 1)) == [{"read": "", "input": "null"}]


@pytest.fixture
def chatting(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(custom_node("work", "chatter", "sink"), sink())


async def test_a_reader_of_the_log_that_hangs_holds_up_neither_messages_nor_the_end(
    chatting: TopologyFile, queues: Queues, broker_url: str
) -> None:
    unread, written = os.pipe()
    async with running(WorkerProcess(chatting, amqp_url=broker_url), log=written):
        await queues.publish(chatting.exchange("work"), *(process_message({"lines": 200}) for _ in range(10)))
        assert len(await queues.read(chatting.queue("sink"), 10)) == 10
    os.close(unread)


async def test_a_reader_of_the_log_that_is_gone_changes_neither_the_work_nor_the_status(
    chatting: TopologyFile, queues: Queues, broker_url: str
) -> None:
    gone, written = os.pipe()
    async with running(WorkerProcess(chatting, amqp_url=broker_url), log=written):
        os.close(gone)
        await queues.publish(chatting.exchange("work"), process_message({"lines": 10}))
        assert len(await queues.read(chatting.queue("sink"), 1)) == 1


@settings(max_examples=25)
@given(chunks=st.lists(st.binary(max_size=3 * SMALLEST_PIPE), max_size=8))
def test_all_that_is_written_arrives_in_its_order_however_late_it_is_read(chunks: list[bytes]) -> None:
    read, written = os.pipe()
    output = Output(written)
    for chunk in chunks:
        assert output.write(chunk) == len(chunk)
    arrived = b""
    while len(arrived) < sum(map(len, chunks)):
        arrived += os.read(read, SMALLEST_PIPE)
    output.drain(SECONDS)
    os.close(read)
    assert arrived == b"".join(chunks)


def test_what_nobody_reads_is_bounded_and_the_rest_is_counted() -> None:
    read, written = os.pipe()
    output = Output(written)
    chunk = b"x" * (MOST_BYTES // 4)
    for _ in range(8):
        assert output.write(chunk) == len(chunk)
    assert MOST_BYTES - len(chunk) < output.waiting <= MOST_BYTES
    os.set_blocking(read, False)  # the last is passed on before it is counted as such
    while output.waiting:
        with suppress(BlockingIOError):
            os.read(read, MOST_BYTES)
    os.close(read)


def test_a_file_that_is_gone_takes_all_and_drains_at_once() -> None:
    read, written = os.pipe()
    os.close(read)
    output = Output(written)
    assert output.write(b"lost") == 4
    output.drain(SECONDS)
    assert output.waiting == 0
