"""What the broker refuses by closing the channel costs nobody else a message, and nothing comes twice."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from conftest import MakeTopology, RunWorker, StartWorker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.actions import Copy
from support.queues import Queues, bodies, process_message
from support.rabbitmqctl import add_user, rabbitmqctl, setting
from support.topologies import TopologyFile, custom_node, pass_on, sink
from support.waiting import eventually

from connectors import CustomNode, Message
from deploy.broker import Broker
from worker.broker.link import Link
from worker.broker.publisher import Publisher
from worker.errors import PublishRefused
from worker.protocol.transport import Publication
from worker.trash.entry import Entry
from worker.trash.store import TrashStore

FOLLOWER = "elsewhere"
COUNT = 8
MOST_BYTES = 40_000


class Swell(CustomNode[Any, Any]):
    """Returns as many characters as the body says."""

    name = "copy"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return a larger message."""
        return message.with_data("x" * message.data["size"])


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


@pytest.fixture
async def topology(make_topology: MakeTopology, queues: Queues) -> TopologyFile:
    made = make_topology(
        pass_on("both", FOLLOWER, "sibling"), custom_node("other", "copy", "sink"), sink("sibling"), sink()
    )
    await queues.declare(made.exchange(FOLLOWER), made.queue(FOLLOWER))
    return made


@pytest.fixture
def limited_user(own_broker: Broker, topology: TopologyFile) -> str:
    """A user that may not write to the follower."""
    everything_else = f"^(?!{topology.exchange(FOLLOWER)}$).*"
    return add_user(own_broker, write=everything_else.replace(".", r"\.", 2))


@pytest.fixture
def small_messages(own_broker: Broker) -> Iterator[None]:
    """The broker takes small messages only, on channels that are opened from now on."""
    with setting(own_broker, "max_message_size", MOST_BYTES):
        yield


async def test_an_exchange_that_may_not_be_written_to_holds_nobody_else(
    topology: TopologyFile,
    limited_user: str,
    queues: Queues,
    run_worker: RunWorker,
    own_broker: Broker,
) -> None:
    worker = await run_worker(topology, Copy(), amqp_url=limited_user)
    await queues.publish(topology.exchange("both"), *(process_message(number) for number in range(COUNT)))
    await eventually(lambda: worker.worker.parts.publisher.refusals >= 3 * COUNT, what="three rounds", seconds=30)

    await queues.publish(topology.exchange("other"), *(process_message(number) for number in range(100)))

    assert bodies(await queues.read(topology.queue("sink"), 100)) == list(range(100))
    assert bodies(await queues.read(topology.queue("sibling"), COUNT)) == list(range(COUNT))
    assert await queues.length(topology.queue("sibling")) == await queues.length(topology.queue("sink")) == 0
    assert worker.worker.parts.links[1].losses == 0
    status, described = await worker.probe("/readyz")
    assert "ACCESS_REFUSED" in described["refused"][topology.exchange(FOLLOWER)]
    assert (status, described["status"]) == (503, "publishing refused")

    name = limited_user.split("//")[1].split(":", maxsplit=1)[0]
    await asyncio.to_thread(rabbitmqctl, own_broker, "set_permissions", name, ".*", ".*", ".*")
    assert bodies(await queues.read(topology.queue(FOLLOWER), COUNT, seconds=60)) == list(range(COUNT))
    await eventually(lambda: worker.worker.in_work == 0, what="an end of all")
    assert await queues.length(topology.queue("sibling")) == 0
    assert worker.is_ready


async def test_a_worker_that_is_refused_ends_within_its_grace(
    topology: TopologyFile, limited_user: str, queues: Queues, start_worker: StartWorker
) -> None:
    worker = await start_worker(topology, amqp_url=limited_user, grace=20)
    await queues.publish(topology.exchange("both"), *(process_message(number) for number in range(COUNT)))
    await eventually(lambda: len(worker.logged("publish_refused")) >= COUNT, what="publish_refused")

    worker.signal()

    assert await worker.ended(seconds=5) == 0
    assert bodies(await queues.read(topology.queue("both"), COUNT)) == list(range(COUNT))


async def test_an_exchange_that_vanishes_under_load_costs_nobody_else_a_message(
    topology: TopologyFile, queues: Queues, run_worker: RunWorker
) -> None:
    worker = await run_worker(topology, Copy())
    count = 400
    messages = [process_message(number) for number in range(count)]
    is_deleted = asyncio.Event()

    async def publish() -> None:
        await queues.publish(topology.exchange("both"), *messages[: count // 2])
        await is_deleted.wait()  # else a quick worker is done with all of them before
        await queues.publish(topology.exchange("both"), *messages[count // 2 :])

    async def delete_soon() -> None:
        await eventually(lambda: worker.worker.counts[topology.node_id("both"), "done"] > count // 4, what="a start")
        await queues.delete(topology.exchange(FOLLOWER))
        is_deleted.set()

    await asyncio.gather(publish(), queues.publish(topology.exchange("other"), *messages), delete_soon())
    assert bodies(await queues.read(topology.queue("sink"), count)) == list(range(count))
    await eventually(lambda: worker.worker.parts.publisher.refusals > 0, what="a refusal")
    await queues.declare(topology.exchange(FOLLOWER), topology.queue(FOLLOWER))

    await eventually(lambda: worker.worker.counts[topology.node_id("both"), "done"] == count, seconds=60, what="an end")
    assert bodies(await queues.read_all(topology.queue("sibling"))) == list(range(count))
    assert await queues.length(topology.queue("sink")) == 0
    arrived = Counter(message.data for message in await queues.read_all(topology.queue(FOLLOWER)))
    assert set(arrived) == set(range(count))


async def test_what_is_too_large_goes_to_the_trash_and_holds_nobody(
    topology: TopologyFile,
    queues: Queues,
    run_worker: RunWorker,
    small_messages: None,
) -> None:
    worker = await run_worker(topology, Swell())
    sizes = [10, MOST_BYTES // 2, MOST_BYTES * 2, 20, MOST_BYTES + 1, MOST_BYTES // 3]
    await queues.publish(topology.exchange("other"), *(process_message({"size": size}) for size in sizes))

    arrived = await queues.read(topology.queue("sink"), 4)
    assert sorted(len(message.data) for message in arrived) == [10, 20, MOST_BYTES // 3, MOST_BYTES // 2]
    store = worker.worker.handler.trash.store
    entries = await eventually(lambda: waiting(store, 2), what="two entries")
    for entry in entries:
        assert "the broker does not take what is sent on: it has " in str(entry.reason)
        assert f"the broker takes {MOST_BYTES:,}" in str(entry.reason)
    await eventually(lambda: worker.worker.in_work == 0, what="an end of all")
    assert worker.worker.parts.publisher.refusals == 0
    assert worker.worker.parts.links[1].losses == 0
    assert worker.is_ready


async def test_what_is_too_large_for_a_broker_with_a_tiny_limit_is_found_as_well(
    topology: TopologyFile, queues: Queues, run_worker: RunWorker, own_broker: Broker, small_messages: None
) -> None:
    await asyncio.to_thread(rabbitmqctl, own_broker, "eval", "application:set_env(rabbit, max_message_size, 3000).")
    worker = await run_worker(topology, Swell())
    sizes = [10, 5000, 20, 30, 6000, 40]
    await queues.publish(topology.exchange("other"), *(process_message({"size": size}) for size in sizes))

    arrived = await queues.read(topology.queue("sink"), 4)
    assert sorted(len(message.data) for message in arrived) == [10, 20, 30, 40]
    assert await eventually(lambda: waiting(worker.worker.handler.trash.store, 2), what="two entries")
    await eventually(lambda: worker.worker.in_work == 0, what="an end of all")
    assert await queues.length(topology.queue("sink")) == 0


KINDS = ("taken", "also-taken", "missing", "internal", "unbound")
"""Exchanges: two that take messages, two whose refusal closes the channel, and one that returns them."""

plans = st.lists(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12), min_size=1, max_size=8)


@given(plans)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_refused_beside_them_messages_arrive_once(own_broker: Broker, plan: list[list[str]]) -> None:
    asyncio.run(publish_all(own_broker.url, plan))


async def publish_all(url: str, plan: list[list[str]]) -> None:
    """Let each call publish its messages at the same time; see that what is refused is, and the rest is there once."""
    run = uuid4().hex
    names = {kind: f"{kind}-{run}" for kind in KINDS}
    publisher, queues = Publisher(), Queues(url)
    link = asyncio.ensure_future(Link(url, "test", publisher.serve).run())
    await declare_kinds(queues, names)
    sent: Counter[tuple[str, int]] = Counter()

    async def call(number: int, kinds: list[str]) -> None:
        publications = [
            Publication(names[kind], "1", json.dumps({"headers": {}, "body": str(number * 100 + place)}).encode())
            for place, kind in enumerate(kinds)
        ]
        sent.update((kind, number * 100 + place) for place, kind in enumerate(kinds))
        is_refused = any(kind not in TAKEN for kind in kinds)
        with pytest.raises(PublishRefused) if is_refused else nullcontext():
            await publisher.publish(publications, is_patient=False)

    await asyncio.gather(*(call(number, kinds) for number, kinds in enumerate(plan)))
    for kind in TAKEN:
        wanted = sorted(number for where, number in sent if where == kind)
        assert bodies(await queues.read_all(names[kind])) == wanted
    for name in names.values():
        await queues.delete(name, name)
    assert publisher.is_open
    link.cancel()
    await asyncio.wait([link])
    await queues.close()


TAKEN = ("taken", "also-taken")


async def declare_kinds(queues: Queues, names: Mapping[str, str]) -> None:
    for kind in TAKEN:
        await queues.declare(names[kind], names[kind], {"x-queue-type": "classic"})
    channel = await queues.channel()
    await channel.exchange_declare(names["internal"], internal=True, auto_delete=True)
    await channel.exchange_declare(names["unbound"], auto_delete=True)


async def waiting(store: TrashStore, count: int) -> Sequence[Entry] | None:
    found = await store.waiting()
    return found if len(found) == count else None
