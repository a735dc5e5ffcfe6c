"""A follower that cannot take a message: it waits in the broker, the log says why, cured, it goes on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker, StartWorker
from support.actions import Copy
from support.queues import Queues, bodies, process_message
from support.topologies import TopologyFile, custom_node, pass_on, sink
from support.waiting import eventually
from support.workers import InProcess

LogLines = Sequence[Mapping[str, Any]]
Step = Callable[[Queues, TopologyFile], Awaitable[None]]

FOLLOWER = "elsewhere"
"""A follower that is not in the file: the worker declares nothing for it."""

SMALL = {"x-max-length": 1, "x-overflow": "reject-publish"}


async def declare(queues: Queues, topology: TopologyFile) -> None:
    await queues.declare(topology.exchange(FOLLOWER), topology.queue(FOLLOWER))


async def delete(queues: Queues, topology: TopologyFile) -> None:
    await queues.delete(topology.exchange(FOLLOWER), topology.queue(FOLLOWER))


async def unbind(queues: Queues, topology: TopologyFile) -> None:
    await queues.unbind(topology.exchange(FOLLOWER), topology.queue(FOLLOWER))


async def close_to_publishers(queues: Queues, topology: TopologyFile) -> None:
    await delete(queues, topology)
    channel = await queues.channel()
    await channel.exchange_declare(topology.exchange(FOLLOWER), exchange_type="topic", internal=True, durable=True)


async def open_to_publishers(queues: Queues, topology: TopologyFile) -> None:
    await delete(queues, topology)
    await declare(queues, topology)


async def fill(queues: Queues, topology: TopologyFile) -> None:
    await delete(queues, topology)
    await queues.declare(topology.exchange(FOLLOWER), topology.queue(FOLLOWER), SMALL)
    await queues.publish(topology.exchange(FOLLOWER), process_message("fills the queue"))


async def drain(queues: Queues, topology: TopologyFile) -> None:
    await queues.read(topology.queue(FOLLOWER), 1)


@dataclass(frozen=True)
class Cause:
    """Why a follower takes nothing, how that comes about and how it is cured."""

    says: str
    make: Step
    cure: Step


CAUSES = {
    "exchange-missing": Cause("NOT_FOUND - no exchange", delete, declare),
    "exchange-internal": Cause("cannot publish to internal exchange", close_to_publishers, open_to_publishers),
    "queue-unbound": Cause("returned: NO_ROUTE (no queue is bound)", unbind, declare),
    "queue-full": Cause("refused by the broker (negative confirm: queue full", fill, drain),
}


@pytest.fixture(params=CAUSES)
def cause(request: pytest.FixtureRequest) -> Cause:
    return CAUSES[request.param]


@pytest.fixture
async def topology(make_topology: MakeTopology, queues: Queues) -> TopologyFile:
    made = make_topology(
        pass_on("start", FOLLOWER, prefetch=5),
        custom_node("other", "copy", "sink"),
        pass_on("both", FOLLOWER, "sink"),
        sink(),
    )
    await declare(queues, made)
    return made


def refusals(log_lines: LogLines, topology: TopologyFile) -> list[str]:
    """Return the causes that the log gives for messages which the follower did not take."""
    exchange = topology.exchange(FOLLOWER)
    return [line["cause"] for line in log_lines if line["event"] == "publish_refused" and line["exchange"] == exchange]


def done(worker: InProcess, topology: TopologyFile, name: str) -> int:
    """Count the messages of a node that are published and counted."""
    return worker.worker.counts[topology.node_id(name), "done"]


@pytest.mark.parametrize("is_known", [False, True], ids=["at-first", "after-others"])
async def test_a_refused_message_waits_and_goes_on_when_the_cause_is_cured(
    cause: Cause,
    is_known: bool,
    topology: TopologyFile,
    queues: Queues,
    run_worker: RunWorker,
    log_lines: LogLines,
) -> None:
    worker = await run_worker(topology, Copy())
    if is_known:
        await queues.publish(topology.exchange("start"), process_message("before"))
        assert bodies(await queues.read(topology.queue(FOLLOWER), 1)) == ["before"]

    await cause.make(queues, topology)
    await queues.publish(topology.exchange("start"), process_message("refused"))
    await eventually(lambda: refusals(log_lines, topology), what="publish_refused")

    assert cause.says in refusals(log_lines, topology)[0]
    assert await queues.length(topology.queue("start")) == 0
    assert worker.worker.in_work == 1
    assert worker.is_ready == (cause is CAUSES["queue-full"])
    assert cause.says in (await worker.probe("/readyz"))[1]["refused"][topology.exchange(FOLLOWER)]

    await cause.cure(queues, topology)
    assert bodies(await queues.read(topology.queue(FOLLOWER), 1)) == ["refused"]
    await eventually(lambda: worker.worker.in_work == 0, what="an acknowledged message")
    assert worker.is_ready


async def test_other_messages_go_on_meanwhile(
    cause: Cause, topology: TopologyFile, queues: Queues, run_worker: RunWorker, log_lines: LogLines
) -> None:
    worker = await run_worker(topology, Copy())
    await cause.make(queues, topology)
    await queues.publish(topology.exchange("start"), *(process_message(number) for number in range(8)))
    await eventually(lambda: len(refusals(log_lines, topology)) >= 5, what="publish_refused for all in work")

    await queues.publish(topology.exchange("other"), *(process_message(number) for number in range(50)))

    assert bodies(await queues.read(topology.queue("sink"), 50)) == list(range(50))
    assert worker.worker.in_work == 5
    assert await queues.length(topology.queue("start")) == 3


async def test_of_a_fan_out_only_the_refused_copy_is_published_again(
    cause: Cause, topology: TopologyFile, queues: Queues, run_worker: RunWorker, log_lines: LogLines
) -> None:
    worker = await run_worker(topology, Copy())
    await cause.make(queues, topology)
    await queues.publish(topology.exchange("both"), process_message("copied"))
    await eventually(lambda: refusals(log_lines, topology), what="publish_refused")

    await cause.cure(queues, topology)
    (refused,) = await queues.read(topology.queue(FOLLOWER), 1)
    await eventually(lambda: done(worker, topology, "both") == 1, what="the end of the message")

    (taken,) = await queues.read_all(topology.queue("sink"))
    assert (taken.data, refused.data) == ("copied", "copied")
    assert taken.headers["parent-id"] == refused.headers["parent-id"]
    assert taken.headers["process-id"] != refused.headers["process-id"]


async def test_a_refused_message_goes_back_to_the_broker_when_the_worker_stops(
    topology: TopologyFile, queues: Queues, start_worker: StartWorker
) -> None:
    worker = await start_worker(topology, grace=0.2)
    await unbind(queues, topology)
    await queues.publish(topology.exchange("start"), process_message("refused"))
    await eventually(lambda: worker.logged("publish_refused"), what="publish_refused")

    worker.signal()

    assert await worker.ended() == 0
    assert bodies(await queues.read(topology.queue("start"), 1)) == ["refused"]
    (line, *_) = worker.logged("publish_refused")
    assert (line["level"], line["nodeName"], line["consequence"]) == (
        "error",
        "start",
        "the message waits in the broker",
    )
