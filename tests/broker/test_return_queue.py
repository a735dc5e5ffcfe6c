"""Messages that waited for a limit do not stand behind the node's queue when they come back."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.queues import ProcessMessage, Queues, process_message
from support.topologies import NodeEntry, connector, custom_node, sink

from connectors import Connector, CustomNode, Message
from worker.broker.delays import delay_of, delayed
from worker.protocol.topology_file import load_topology


class Name(Connector[Any, Any]):
    """Notes whose call it is, and takes a while."""

    name = "name"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.at_once = self.most_at_once = 0

    async def process(self, message: Message[Any]) -> Message[Any]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.calls.append(message.data)
        await asyncio.sleep(0.05)  # a service that needs it
        self.at_once -= 1
        return message


class Copy(CustomNode[Any, Any]):
    """Passes on what comes."""

    name = "copy"

    async def process(self, message: Message[Any]) -> Message[Any]:
        return message


def limited(*, prefetch: int) -> NodeEntry:
    entry = connector("ask", "name", "sink", prefetch=prefetch)
    return NodeEntry(entry.name, entry.followers, entry.worker, "shop", entry.settings)


def of(user: str, count: int, limiter_key: str = "") -> Sequence[ProcessMessage]:
    headers = {"limiter-key": limiter_key} if limiter_key else {}
    return [process_message(user, user=user, **headers) for _ in range(count)]


async def test_a_message_whose_turn_has_come_passes_the_backlog(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology, action = make_topology(limited(prefetch=4), sink()), Name()
    await run_worker(topology, action)
    await queues.publish(topology.exchange("ask"), *of("alice", 2, "alice|shop;1;1"), *of("bob", 300))
    await queues.read(topology.queue("sink"), 302, seconds=60)
    last_of_alice = len(action.calls) - action.calls[::-1].index("alice")
    assert last_of_alice < 250, "the first second has about 80 calls, and the backlog takes four"
    assert action.most_at_once == 4, "both queues share the prefetch"


async def test_a_topology_without_the_return_queue_gets_back_what_lies_in_it(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    """Limits could hold for the node once; its settings have changed while messages waited."""
    topology = make_topology(custom_node("work", "copy", "sink"), sink())
    queue = topology.return_queue("work")
    channel = await queues.channel()
    await channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    await queues.publish_raw("", b'{"headers": {"correlation-id": "c", "process-id": "p"}, "body": "1"}', queue)
    await run_worker(topology, Copy())
    (message,) = await queues.read(topology.queue("sink"), 1, seconds=20)
    assert message.body == "1"
    assert await queues.length(queue) == 0


@pytest.mark.parametrize(("prefetch", "is_apart"), [(4, True), (1, False)], ids=["side by side", "one after another"])
def test_a_node_that_keeps_its_order_has_one_way(make_topology: MakeTopology, prefetch: int, *, is_apart: bool) -> None:
    node = load_topology(make_topology(limited(prefetch=prefetch), sink()).path).nodes[0]
    publication = delayed(node, b"", 1, None, is_limited=True)
    assert publication.routing_key.endswith(".limit") is is_apart
    assert delay_of(publication) == (1, node.id)
