"""Consuming the queues of several nodes on one connection.

A node that limits can hold for has a second queue, its return queue: the node's own may hold a hundred thousand
messages that nobody has asked about yet, and one whose turn has come must not stand behind them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from operator import attrgetter

import aiormq
import structlog

from applications.pauses import back_off
from worker.broker.backlog import backlog, leftovers, node_queues
from worker.broker.consumer import QueueConsumer, QueueState, SharingConsumer
from worker.broker.link import LONGEST_PAUSE_SECONDS, SERVED_SECONDS, Session, TooFewChannels, raise_swallowed_cancel
from worker.broker.objects import RPC_SECONDS, Declarations, together
from worker.broker.one_shot import missing_exchanges
from worker.broker.ordered import KeyedConsumer, SoleConsumer
from worker.broker.partitions import MOST_UNACKNOWLEDGED, PartitionedConsumer
from worker.broker.publisher import Publisher
from worker.broker.surroundings import ParkedCount, Surroundings
from worker.errors import ChannelLost, UnreadableMessage
from worker.protocol.keys import NO_KEY, Key
from worker.protocol.message import decode
from worker.protocol.topology import ROUTING_KEY, Node, Topology
from worker.protocol.transport import Delivery, Publication

log = structlog.get_logger()

AnyConsumer = QueueConsumer | PartitionedConsumer

SPARE_CHANNELS = 3
"""To declare, to look, and to probe."""
SINGLE_ACTIVE = "x-single-active-consumer"

MOVED_TOGETHER = 100
"""Messages of a node on their way from queues that it needs no more."""


class Intake:
    """Consumes the nodes' queues as long as a connection lasts; `serve` it again on the next one."""

    def __init__(
        self,
        topology: Topology,
        nodes: Sequence[Node],
        deliver: Callable[[Node, Delivery], Awaitable[None]],
        publisher: Publisher,
        surroundings: Surroundings,
        *,
        check_seconds: float,
        max_message_bytes: int,
    ) -> None:
        self._nodes = nodes
        self._surroundings = surroundings
        self._check_seconds = check_seconds
        self._is_stopping = False
        self._max_message_bytes = max_message_bytes
        self.restarts: Counter[tuple[str, str]] = Counter()
        """Consumers started again, by node id and cause."""
        self._deliver = deliver
        self._publisher = publisher
        self._slots = {node.id: asyncio.Semaphore(node.prefetch) for node in nodes if surroundings.return_queues(node)}
        """Of messages that both consumers of a node may have in work."""
        self.consumers = {node.id: self._consumer(node) for node in nodes}
        self._beside: dict[str, list[QueueConsumer]] = {}
        """The consumers of return queues and leftovers, by node id, as long as a connection lasts."""
        own = {node.id for node in nodes}
        followers = {follower.id for node in nodes for follower in node.followers} - own
        self._followers = [node for node in topology.nodes if node.id in followers]
        """Nodes that this worker fills and others consume."""
        self._seen: dict[str, QueueState] = {}
        """What waits for those at the latest look, by node id."""
        self._missing: frozenset[str] = frozenset()
        """Exchanges of nodes that were gone at the latest look, and could not be declared again."""
        self.parked = ParkedCount()
        """What was in no node's queue at the latest look."""

    @property
    def is_ready(self) -> bool:
        """Whether every queue has a living consumer, which of ordered nodes may be another worker's."""
        return not self._missing and all(consumer.is_ready for consumer in self._all())

    def state(self, node: Node) -> str:
        """Say what is done for a node, for a person."""
        return "its exchange is missing" if node.exchange in self._missing else self.consumers[node.id].state

    def in_work(self, node_id: str) -> int:
        """Return how many messages of a node have been taken and are not acknowledged."""
        return sum(consumer.in_work for consumer in self._of(node_id))

    @property
    def workers(self) -> int | None:
        """How many workers consume the same queues, as far as is known; None: it is not known yet of every queue."""
        found = [consumer.workers for consumer in self.consumers.values()]
        known = [workers for workers in found if workers is not None]
        return max(known, default=1) if len(known) == len(found) else None

    @property
    def seen(self) -> Mapping[str, QueueState]:
        """What waits for a node in all its queues at the latest look, and who consumes its own; by node id.

        Of the nodes that are consumed here, and of their followers.
        """
        found = dict(self._seen)
        for node_id in self.consumers:
            own, *others = (consumer.seen for consumer in self._of(node_id))
            if own is not None:
                found[node_id] = own.with_others(state for state in others if state is not None)
        return found

    async def serve(self, session: Session) -> None:
        """Declare, consume and watch. Ends only with the connection, by one of `CONNECTION_ERRORS`."""
        needed = channels_needed(self._nodes, self._surroundings)
        if needed > session.underlay.most_channels:
            raise TooFewChannels(session.underlay.most_channels, needed)
        differing = await self._declare(session)
        self._missing = frozenset()
        await self._open_beside(session)
        for part in chain.from_iterable(consumer.parts for consumer in self._all()):
            part.takes_turns = SINGLE_ACTIVE in differing.get(part.queue, "")
        session.has_begun = True
        raise_swallowed_cancel()
        async with asyncio.TaskGroup() as group:
            for node in self._nodes:
                for consumer in self._of(node.id):
                    group.create_task(self._keep(node, consumer, session), name=f"consume {node.name}")
            group.create_task(self._watch(session), name="watch consumers")

    async def stop(self, grace_seconds: float) -> None:
        """Take no more messages; return when those in work are done or the grace is over."""
        self._is_stopping = True
        async with asyncio.TaskGroup() as group:
            for consumer in self._all():
                group.create_task(consumer.stop(grace_seconds))

    def _all(self) -> Iterator[AnyConsumer]:
        return chain(self.consumers.values(), *self._beside.values())

    def _of(self, node_id: str) -> Sequence[AnyConsumer]:
        return (self.consumers[node_id], *self._beside.get(node_id, ()))

    async def _keep(self, node: Node, consumer: AnyConsumer, session: Session) -> None:
        failures = 0
        while not self._is_stopping:
            began = time.monotonic()
            try:
                if failures:
                    await self._declare_again(node, session)
                await consumer.run(session)
            except (ChannelLost, aiormq.exceptions.AMQPChannelError) as lost:
                if session.underlay.is_closed:
                    raise
                self.restarts[node.id, consumer.lost_by or "channel_closed"] += 1
                log.warning("consumer_restarted", nodeId=node.id, nodeName=node.name, cause=str(lost))
            failures = 1 if time.monotonic() - began > SERVED_SECONDS else failures + 1
            await asyncio.sleep(back_off(failures - 1, longest=LONGEST_PAUSE_SECONDS))
            raise_swallowed_cancel()

    async def _declare_again(self, node: Node, session: Session) -> None:
        declarations = Declarations(session)
        await declarations.node(node.exchange, node.queue, ROUTING_KEY)
        await self._surroundings.declare_return(declarations, node)
        await declarations.close()

    async def _watch(self, session: Session) -> None:
        """Compare each consumer with its queue, on a channel of its own."""
        while True:
            await asyncio.sleep(self._check_seconds)
            channel = await session.channel()
            for consumer in chain.from_iterable(consumer.parts for consumer in self._all()):
                try:
                    queue = await channel.queue_declare(consumer.queue, passive=True, timeout=RPC_SECONDS)
                except aiormq.exceptions.ChannelNotFoundEntity:
                    consumer.check(0, 0)
                    channel = await session.channel()
                else:
                    consumer.check(queue.message_count or 0, queue.consumer_count or 0)
            await channel.close()
            await self._restore(session)
            seen = {node.id: await backlog(session, node) for node in self._followers}
            self._seen = {node_id: state for node_id, state in seen.items() if state is not None}
            self.parked = await self._surroundings.parked(session)
            raise_swallowed_cancel()

    async def _restore(self, session: Session) -> None:
        """Declare exchanges again that somebody has deleted, with their bindings."""
        nodes = {node.exchange: node for node in (*self._nodes, *self._followers)}
        self._missing = frozenset(await missing_exchanges(session, nodes))
        for exchange in self._missing:
            node = nodes[exchange]
            log.warning("exchange_missing", nodeId=node.id, nodeName=node.name, consequence="it is declared again")
            with suppress(aiormq.exceptions.AMQPChannelError):  # it is told once more at the next look
                await self._declare_again(node, session)
                self._missing -= {exchange}

    async def _declare(self, session: Session) -> Mapping[str, str]:
        """Return how queues differ that are there, by name."""
        differing: dict[str, str] = {}
        nodes, own = iter((*self._nodes, *self._followers)), frozenset(self.consumers)
        declarations = Declarations(session)
        await self._surroundings.declare(declarations)
        await declarations.close()

        async def declare() -> None:
            declarations = Declarations(session)
            for node in nodes:
                await declarations.node(node.exchange, node.queue, ROUTING_KEY)
                if node.id in own:
                    await self._surroundings.declare_return(declarations, node)
            differing.update(declarations.differing)
            await declarations.close()

        await together(session, declare)
        return differing

    async def _open_beside(self, session: Session) -> None:
        nodes = iter(self._nodes)

        async def look() -> None:
            for node in nodes:
                self._beside[node.id] = [*self._returning(node), *await self._leftovers(node, session)]

        await together(session, look)

    def _returning(self, node: Node) -> Sequence[QueueConsumer]:
        return [self._sharing(node, queue) for queue in self._surroundings.return_queues(node)]

    async def _leftovers(self, node: Node, session: Session) -> Sequence[QueueConsumer]:
        """Return what empties the queues that the node had by other settings, each in its order.

        Workers that still have those settings keep them as long as they live.
        """
        left = await leftovers(session, node, self._surroundings)
        if waiting := sum(state.messages for state in left.values()):
            log.warning(
                "leftovers_found",
                nodeId=node.id,
                nodeName=node.name,
                messages=waiting,
                consequence="moved back to the node's queue, behind what waits there",
            )
        move, slots = partial(self._move, node), asyncio.Semaphore(MOVED_TOGETHER)
        return [KeyedConsumer(queue, MOST_UNACKNOWLEDGED, move, attrgetter("routing_key"), slots) for queue in left]

    async def _move(self, node: Node, delivery: Delivery) -> None:
        """Give the message back to the node's own queue."""
        await self._publisher.publish([Publication(node.exchange, ROUTING_KEY, delivery.raw, delivery.timestamp)])

    def _sharing(self, node: Node, queue: str) -> SharingConsumer:
        return SharingConsumer(queue, node.prefetch, partial(self._deliver, node), self._slots[node.id])

    def _consumer(self, node: Node) -> AnyConsumer:
        if node.order_by is not None:
            return PartitionedConsumer(
                node,
                self._deliver,
                self._publisher,
                partial(_order_key, node.order_by, self._max_message_bytes),
                lambda cause: self.restarts.update([(node.id, cause)]),
            )
        if node.prefetch == 1:
            return SoleConsumer(node.queue, 1, partial(self._deliver, node))
        if self._surroundings.return_queues(node):
            return self._sharing(node, node.queue)
        return QueueConsumer(node.queue, node.prefetch, partial(self._deliver, node))


def channels_needed(nodes: Sequence[Node], surroundings: Surroundings) -> int:
    """Return how many channels on one connection the consumers of these nodes need."""
    ordered = sum(node.order_by is not None for node in nodes)
    return sum(len(tuple(node_queues(node, surroundings))) for node in nodes) + ordered + SPARE_CHANNELS


def _order_key(key: Key, max_bytes: int, delivery: Delivery) -> str:
    """Return the key of a message; one that cannot be read has none, and goes to the trash from its partition."""
    try:
        envelope = decode(delivery.raw, max_bytes)
    except UnreadableMessage:
        return NO_KEY
    return key.of(envelope.headers or {}, envelope.body)
