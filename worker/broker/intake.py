"""Consuming the queues of several nodes on one connection."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import chain

import aiormq
import structlog

from worker.broker.consumer import Delivery, QueueConsumer
from worker.broker.delays import declare_tiers
from worker.broker.link import Session, raise_swallowed_cancel
from worker.broker.objects import (
    COUNTER_EXCHANGE,
    COUNTER_QUEUE,
    EVENTS_EXCHANGE,
    LIMITER_QUEUE,
    REPEATER_QUEUE,
    RPC_SECONDS,
    Declarations,
)
from worker.broker.ordered import SoleConsumer
from worker.broker.partitions import PartitionedConsumer
from worker.broker.publisher import Publisher
from worker.envelope import decode
from worker.errors import ChannelLost, UnreadableMessage
from worker.keys import NO_KEY, Key
from worker.topology import ROUTING_KEY, Node, Topology

log = structlog.get_logger()


class Intake:
    """Consumes the nodes' queues as long as a connection lasts; `serve` it again on the next one."""

    def __init__(
        self,
        topology: Topology,
        nodes: Sequence[Node],
        deliver: Callable[[Node, Delivery], Awaitable[None]],
        publisher: Publisher,
        *,
        is_platform: bool,
        check_seconds: float,
        max_message_bytes: int,
    ) -> None:
        self._topology = topology
        self._nodes = nodes
        self._is_platform = is_platform
        self._check_seconds = check_seconds
        self._is_stopping = False
        self._max_message_bytes = max_message_bytes
        self.restarts: Counter[tuple[str, str]] = Counter()
        """Consumers started again, by node id and cause."""
        self.consumers = {node.id: self._consumer(node, deliver, publisher) for node in nodes}

    @property
    def is_ready(self) -> bool:
        """Whether every node's queue has a living consumer, which of ordered nodes may be another worker's."""
        return all(consumer.is_ready for consumer in self.consumers.values())

    async def serve(self, session: Session) -> None:
        """Declare, consume and watch. Ends only with the connection, by one of `CONNECTION_ERRORS`."""
        declarations = Declarations(session)
        await self._declare(declarations)
        raise_swallowed_cancel()
        async with asyncio.TaskGroup() as group:
            for node in self._nodes:
                group.create_task(self._keep(node, session), name=f"consume {node.name}")
            group.create_task(self._watch(session), name="watch consumers")

    async def stop(self, grace_seconds: float) -> None:
        """Take no more messages; return when those in work are done or the grace is over."""
        self._is_stopping = True
        async with asyncio.TaskGroup() as group:
            for consumer in self.consumers.values():
                group.create_task(consumer.stop(grace_seconds))

    async def _keep(self, node: Node, session: Session) -> None:
        consumer = self.consumers[node.id]
        while not self._is_stopping:
            try:
                await consumer.run(session)
            except ChannelLost as lost:
                if session.underlay.is_closed:
                    raise
                self.restarts[node.id, consumer.lost_by] += 1
                log.warning("consumer_restarted", nodeId=node.id, nodeName=node.name, cause=str(lost))
            await asyncio.sleep(random.uniform(0.1, 1))  # noqa: S311 - jitter
            declarations = Declarations(session)
            await declarations.node(node.exchange, node.queue, ROUTING_KEY)
            await declarations.close()
            raise_swallowed_cancel()

    async def _watch(self, session: Session) -> None:
        """Compare each consumer with its queue, on a channel of its own."""
        while True:
            await asyncio.sleep(self._check_seconds)
            channel = await session.channel()
            for consumer in chain.from_iterable(consumer.parts for consumer in self.consumers.values()):
                try:
                    queue = await channel.queue_declare(consumer.queue, passive=True, timeout=RPC_SECONDS)
                except aiormq.exceptions.ChannelNotFoundEntity:
                    consumer.check(0, 0)
                    channel = await session.channel()
                else:
                    consumer.check(queue.message_count or 0, queue.consumer_count or 0)
            await channel.close()
            raise_swallowed_cancel()

    async def _declare(self, declarations: Declarations) -> None:
        in_file = {node.id for node in self._topology.nodes}
        followers = {follower.id for node in self._nodes for follower in node.followers} & in_file
        own = {node.id for node in self._nodes}
        for node in self._topology.nodes:
            if node.id in own | followers:
                await declarations.node(node.exchange, node.queue, ROUTING_KEY)
        if self._is_platform:
            for queue in (COUNTER_QUEUE, REPEATER_QUEUE, LIMITER_QUEUE):
                await declarations.queue(queue)
            await declarations.exchange(EVENTS_EXCHANGE, "topic")
        else:
            await declarations.exchange(COUNTER_EXCHANGE, "topic")
            await declare_tiers(declarations, self._nodes)
        await declarations.close()

    def _consumer(
        self, node: Node, deliver: Callable[[Node, Delivery], Awaitable[None]], publisher: Publisher
    ) -> QueueConsumer | PartitionedConsumer:
        if node.order_by is not None:
            return PartitionedConsumer(
                node,
                deliver,
                publisher,
                partial(_order_key, node.order_by, self._max_message_bytes),
                lambda cause: self.restarts.update([(node.id, cause)]),
            )
        kind = SoleConsumer if node.prefetch == 1 else QueueConsumer
        return kind(node.queue, node.prefetch, lambda delivery: deliver(node, delivery))


def _order_key(key: Key, max_bytes: int, delivery: Delivery) -> str:
    """Return the key of a message; one that cannot be read has none, and goes to the trash from its partition."""
    try:
        envelope = decode(delivery.raw, max_bytes)
    except UnreadableMessage:
        return NO_KEY
    return key.of(envelope.headers or {}, envelope.body)
