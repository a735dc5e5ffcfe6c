"""Order, when the broker itself goes and when connections break."""

from collections.abc import Sequence

import pytest
from conftest import MakeTopology, RunWorker
from support.ordering import RepeatMarked, SleepAtRandom, first_swaps, swaps
from support.proxy import Proxy
from support.queues import ProcessMessage, Queues, process_message
from support.topologies import custom_node, sink
from support.waiting import eventually

from deploy.broker import Broker
from worker import Worker

NODES = ("held-alone", "held-by-key", "alone", "by-key")
"""Those that need longest first."""
BY_KEY = {"prefetch": 10, "orderBy": "body:key"}
ALONE = {"prefetch": 1}
HELD = {"repeatHoldsLine": True}
COUNT = 200
KEYS = 20


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


def messages(node: str) -> list[ProcessMessage]:
    """Return what a node gets: seconds to sleep, or seconds until a repeat for some."""
    bodies = {
        "alone": lambda n: {"seconds": 0.04},
        "by-key": lambda n: {"seconds": 1},
        "held-alone": lambda n: {"repeat": None if n % 10 else 0.2},
        "held-by-key": lambda n: {"repeat": None if n % 4 else 1},
    }
    return [process_message({"n": n, "key": n % KEYS, **bodies[node](n)}) for n in range(COUNT)]


@pytest.mark.timeout(600)  # four nodes at once; each step has its own limit
@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_no_message_is_swapped_when_the_broker_restarts_and_what_waits_for_a_repeat_holds_the_line_over_it(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, own_broker: Broker, end: str
) -> None:
    topology = make_topology(
        custom_node("alone", "sleep-at-random", "alone-done", **ALONE),
        custom_node("by-key", "sleep-at-random", "by-key-done", **BY_KEY),
        custom_node("held-alone", "repeat-marked", "held-alone-done", **ALONE, **HELD),
        custom_node("held-by-key", "repeat-marked", "held-by-key-done", **BY_KEY, **HELD),
        *(sink(f"{node}-done") for node in NODES),
    )
    workers = [(await run_worker(topology, SleepAtRandom(), RepeatMarked())).worker for _ in range(2)]
    for node in ("by-key", "held-by-key"):
        await eventually(lambda node=node: are_shared(workers, node), seconds=60, what="equal shares")
    for node in NODES:
        await queues.publish(topology.exchange(node), *messages(node))
    done = {node: topology.queue(f"{node}-done") for node in NODES}
    for queue in done.values():
        await eventually(lambda queue=queue: has(queues, queue, 20), seconds=30, what="some messages")

    await queues.close()
    getattr(own_broker, end)()
    own_broker.start()

    # Only a broker that is killed may forget acknowledgements: what was done comes again then, but never a first copy.
    found = swaps if end == "stop" else first_swaps
    received = {node: await queues.read(queue, COUNT, seconds=90) for node, queue in done.items()}
    assert {node: found(copies) for node, copies in received.items()} == {node: [] for node in NODES}


def are_shared(workers: Sequence[Worker], node: str) -> bool:
    """Whether each of two workers has half of the partitions."""
    return [state(worker, node)[:11] for worker in workers] == ["consuming 8"] * 2


async def has(queues: Queues, queue: str, count: int) -> bool:
    return await queues.length(queue) >= count


async def test_no_message_is_swapped_when_a_connection_breaks(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, proxy: Proxy
) -> None:
    topology = make_topology(custom_node("work", "sleep-at-random", "sink", prefetch=1), sink())
    first = await run_worker(topology, SleepAtRandom(), amqp_url=proxy.url)
    await eventually(lambda: first.worker.describe()["nodes"]["work"] == "consuming", what="a consumer")
    second = await run_worker(topology, SleepAtRandom())
    workers = (first.worker, second.worker)
    await queues.publish(topology.exchange("work"), *(process_message({"n": n, "seconds": 0.02}) for n in range(300)))
    await eventually(lambda: has(queues, topology.queue("sink"), 50), seconds=30, what="some messages")

    proxy.reset()

    await eventually(
        lambda: sorted(state(worker) for worker in workers) == ["consuming", "standing by"], what="one who consumes"
    )
    received = await queues.read(topology.queue("sink"), 300, seconds=30)
    assert swaps(received) == []


def state(worker: Worker, node: str = "work") -> str:
    return str(worker.describe()["nodes"][node])
