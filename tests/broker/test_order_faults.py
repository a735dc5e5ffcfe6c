"""Order, when the broker itself goes and when connections break."""

import pytest
from conftest import MakeTopology, RunWorker
from support.ordering import RepeatMarked, SleepAtRandom, first_swaps, swaps
from support.proxy import Proxy
from support.queues import Queues, process_message
from support.topologies import custom_node, sink
from support.waiting import eventually

from deploy.broker import Broker
from worker import Worker

COUNT = 600


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        ({"prefetch": 1}, "kill"),
        ({"prefetch": 10, "orderBy": "body:key"}, "kill"),
        ({"prefetch": 10, "orderBy": "body:key"}, "stop"),
    ],
)
async def test_no_message_is_swapped_when_the_broker_restarts(
    make_topology: MakeTopology,
    queues: Queues,
    run_worker: RunWorker,
    own_broker: Broker,
    settings: dict[str, object],
    end: str,
) -> None:
    topology = make_topology(custom_node("work", "sleep-at-random", "sink", **settings), sink())
    workers = [(await run_worker(topology, SleepAtRandom())).worker for _ in range(2)]
    if "orderBy" in settings:
        shared = ["consuming 8"] * 2
        await eventually(lambda: [state(worker)[:11] for worker in workers] == shared, seconds=60, what="equal shares")
    seconds = 0.005 if settings["prefetch"] == 1 else 0.1
    messages = [process_message({"n": n, "key": n % 20, "seconds": seconds}) for n in range(COUNT)]
    await queues.publish(topology.exchange("work"), *messages)
    await eventually(lambda: has(queues, topology.queue("sink"), COUNT // 6), seconds=30, what="some messages")

    await queues.close()
    getattr(own_broker, end)()
    own_broker.start()

    received = await queues.read(topology.queue("sink"), COUNT, seconds=60)
    # Only a broker that is killed may forget acknowledgements: what was done comes again then, but never a first copy.
    assert (swaps(received) if end == "stop" else first_swaps(received)) == []


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.parametrize("settings", [{"prefetch": 1}, {"prefetch": 10, "orderBy": "body:key"}])
async def test_what_waits_for_a_repeat_holds_the_line_over_a_restart_of_the_broker(
    make_topology: MakeTopology,
    queues: Queues,
    run_worker: RunWorker,
    own_broker: Broker,
    settings: dict[str, object],
    end: str,
) -> None:
    node = custom_node("work", "repeat-marked", "sink", repeatHoldsLine=True, **settings)
    topology = make_topology(node, sink())
    for _ in range(2):
        await run_worker(topology, RepeatMarked())
    repeats = {"seconds": 0.2, "every": 10} if settings["prefetch"] == 1 else {"seconds": 1, "every": 4}
    messages = [
        process_message({"n": n, "key": n % 20, "repeat": None if n % repeats["every"] else repeats["seconds"]})
        for n in range(COUNT // 3)
    ]
    await queues.publish(topology.exchange("work"), *messages)
    await eventually(lambda: has(queues, topology.queue("sink"), 20), seconds=30, what="some messages")

    await queues.close()
    getattr(own_broker, end)()
    own_broker.start()

    received = await queues.read(topology.queue("sink"), len(messages), seconds=90)
    assert (swaps(received) if end == "stop" else first_swaps(received)) == []


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

    await eventually(lambda: sorted(map(state, workers)) == ["consuming", "standing by"], what="one who consumes")
    received = await queues.read(topology.queue("sink"), 300, seconds=30)
    assert swaps(received) == []


def state(worker: Worker) -> str:
    return str(worker.describe()["nodes"]["work"])
