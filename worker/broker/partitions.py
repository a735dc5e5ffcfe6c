"""A node whose messages keep their order by key, while those of other keys go on beside them, over all workers.

    node's queue ─ one worker moves ─► exchange node.{id}.keys ─ by key ─► 16 partitions ─ each one worker's ─► handler

The platform publishes every message of a node with the same routing key into one queue, so a worker has to part them:
the one whose turn it is moves them on, as they came, with the number of the key's partition in the routing key. The
number comes from the key alone. The broker's consistent hash will not do: its ring differs at each start,
so what comes after a restart would lie in another partition than the earlier messages of its key. The partitions are
shared out in equal parts among the workers that are there. `docs/order.md` says what is guaranteed, and why it is made
like this.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

import structlog

from worker.broker.consumer import QueueConsumer, QueueState
from worker.broker.link import Session, raise_swallowed_cancel
from worker.broker.membership import Membership
from worker.broker.objects import Declarations
from worker.broker.ordered import KeyedConsumer
from worker.broker.publisher import Publisher
from worker.errors import ChannelLost
from worker.protocol.topology import Node
from worker.protocol.transport import Delivery, Publication

log = structlog.get_logger()

PARTITIONS = 16
"""Fixed: with another number, messages of a key would lie in two partitions for a while."""

MOST_UNACKNOWLEDGED = 30
"""Of one consumer. From 32 acknowledgements on their way, RabbitMQ keeps more back in the channel, and they are lost
with it: a message could be delivered again after a later one of its key has begun.
"""

BALANCE_SECONDS = (0.5, 1.0)
"""Between two looks at who is there."""

TRIAL_SECONDS = 30
"""How long a worker has to last until others give partitions up for it. What they hold of those is delivered again, and
once more when the worker dies: one that dies again and again would use its deliveries up.
"""

LEAVE_SECONDS = 30
"""What messages in work may take when their partition goes to another worker."""


def keys_exchange(node: Node) -> str:
    """Name the exchange before the partitions."""
    return f"node.{node.id}.keys"


def partition_queues(node: Node) -> Sequence[str]:
    """Name the queues of the partitions; numbers start at 1."""
    return tuple(f"node.{node.id}.order.{number}" for number in range(1, PARTITIONS + 1))


def routing_key(key: str) -> str:
    """Return `{partition}.{digest}` of a key: what fits into a routing key, and is the same at all times."""
    digest = blake2b(key.encode(), digest_size=16)
    return f"{int.from_bytes(digest.digest()) % PARTITIONS + 1}.{digest.hexdigest()}"


def members_queue(node: Node) -> str:
    """Name the queue by which the workers of a node are counted."""
    return f"node.{node.id}.order.workers"


class Partition:
    """One of the partitions, as this worker sees it."""

    def __init__(self, consumer: KeyedConsumer) -> None:
        self.consumer = consumer
        self.is_wanted = asyncio.Event()
        """Set while it is among this worker's."""


class PartitionedConsumer:
    """Consumes a node with `orderBy`. To `Intake` it is what a `QueueConsumer` is."""

    def __init__(
        self,
        node: Node,
        deliver: Callable[[Node, Delivery], Awaitable[None]],
        publisher: Publisher,
        key: Callable[[Delivery], str],
        note_restart: Callable[[str], None],
    ) -> None:
        self.lost_by = ""
        self._node = node
        self._publisher = publisher
        self._key = key
        self._note_restart = note_restart
        self._is_stopping = False
        self._membership = Membership(members_queue(node))
        self._is_placed = False
        self._is_on_trial = False
        """Whether others share the node, and this worker is too young to join them."""
        self._began: float | None = None
        """When it was connected first."""
        self._mover = KeyedConsumer(
            node.queue, MOST_UNACKNOWLEDGED, self._move, self._routing_key, asyncio.Semaphore(MOST_UNACKNOWLEDGED)
        )
        slots = asyncio.Semaphore(node.prefetch)
        self._partitions = [
            Partition(
                KeyedConsumer(
                    queue,
                    min(node.prefetch, MOST_UNACKNOWLEDGED),
                    lambda delivery: deliver(node, delivery),
                    lambda delivery: delivery.routing_key,
                    slots,
                )
            )
            for queue in partition_queues(node)
        ]

    @property
    def parts(self) -> Sequence[QueueConsumer]:
        """The consumers of single queues."""
        return (self._mover, *(partition.consumer for partition in self._partitions))

    @property
    def is_consuming(self) -> bool:
        """Whether this worker has a partition."""
        return any(partition.consumer.is_consuming for partition in self._partitions)

    @property
    def is_standing_by(self) -> bool:
        """Whether all partitions are other workers'."""
        return self.is_ready and not self.is_consuming

    @property
    def is_ready(self) -> bool:
        """Whether our share is consumed, or will be as soon as it is our turn."""
        wanted = [partition.consumer for partition in self._partitions if partition.is_wanted.is_set()]
        is_serving = self._is_placed and self._mover.is_ready and all(consumer.is_ready for consumer in wanted)
        return is_serving or self._is_on_trial

    @property
    def state(self) -> str:
        """Say what it does, for a person."""
        if not self.is_ready:
            return "not consuming"
        count = sum(partition.consumer.is_consuming for partition in self._partitions)
        share = f"consuming {count} of {PARTITIONS} partitions" if count else "standing by"
        return f"{share}, moving messages to the partitions" if self._mover.is_consuming else share

    @property
    def in_work(self) -> int:
        """Messages of our partitions that have been delivered and not acknowledged."""
        return sum(partition.consumer.in_work for partition in self._partitions)

    @property
    def seen(self) -> QueueState | None:
        """All queues together at the latest check; the consumers are those of the node's own."""
        seen = [part.seen for part in self.parts if part.seen is not None]
        return QueueState(sum(state.messages for state in seen), seen[0].consumers) if seen else None

    @property
    def workers(self) -> int | None:
        """How many workers share the partitions; None: nobody has looked yet."""
        return self._membership.count or None

    async def run(self, session: Session) -> None:
        """Move and consume our share. Ends with the connection, by one of `CONNECTION_ERRORS`."""
        await self._declare(session)
        self._is_placed = False
        try:
            await self._stand_trial(session)
            await self._membership.join(session)
            raise_swallowed_cancel()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep(self._mover, session, lambda: True), name=f"move {self._node.name}")
                for partition in self._partitions:
                    group.create_task(self._serve(partition, session), name=f"consume {partition.consumer.queue}")
                group.create_task(self._balance(session, group), name=f"balance {self._node.name}")
        finally:
            self._is_placed = self._is_on_trial = False
            for partition in self._partitions:
                partition.is_wanted.clear()

    async def _stand_trial(self, session: Session) -> None:
        """Return when nobody else shares the node, or when this worker has lasted for `TRIAL_SECONDS`."""
        if self._began is None:
            self._began = time.monotonic()
        while time.monotonic() < self._began + TRIAL_SECONDS and await self._membership.look(session):
            self._is_on_trial = True
            await asyncio.sleep(random.uniform(*BALANCE_SECONDS))  # noqa: S311 - jitter
            raise_swallowed_cancel()

    async def stop(self, grace_seconds: float) -> None:
        """Take no more messages, let handlers finish within the grace; other workers go on with what is left."""
        self._is_stopping = True
        async with asyncio.TaskGroup() as group:
            for part in self.parts:
                group.create_task(part.stop(grace_seconds))

    async def _move(self, delivery: Delivery) -> None:
        key = self._routing_key(delivery)
        await self._publisher.publish(
            [Publication(keys_exchange(self._node), key, delivery.raw, delivery.timestamp)],
        )

    def _routing_key(self, delivery: Delivery) -> str:
        return routing_key(self._key(delivery))

    async def _serve(self, partition: Partition, session: Session) -> None:
        while not self._is_stopping:
            await partition.is_wanted.wait()
            await self._keep(partition.consumer, session, partition.is_wanted.is_set)
            raise_swallowed_cancel()

    async def _keep(self, consumer: KeyedConsumer, session: Session, is_wanted: Callable[[], bool]) -> None:
        """Consume until it is stopped, again when the channel is lost."""
        while is_wanted() and not self._is_stopping:
            try:
                await consumer.run(session)
            except ChannelLost as lost:
                if session.underlay.is_closed:
                    raise
                self._note_restart(consumer.lost_by)
                log.warning("consumer_restarted", nodeId=self._node.id, queue=consumer.queue, cause=str(lost))
            else:
                return
            await asyncio.sleep(random.uniform(0.1, 1))  # noqa: S311 - jitter
            await self._declare(session)
            raise_swallowed_cancel()

    async def _balance(self, session: Session, group: asyncio.TaskGroup) -> None:
        """Take our share of the partitions and give up what is no longer ours, whenever workers come or go."""
        while not self._is_stopping:
            place = await self._membership.place(session)
            raise_swallowed_cancel()
            if place is not None:
                self._share(*place, group)
            await asyncio.sleep(random.uniform(*BALANCE_SECONDS))  # noqa: S311 - jitter

    def _share(self, number: int, count: int, group: asyncio.TaskGroup) -> None:
        """Want the partitions that are this worker's, the one with this number among so many."""
        self._is_placed, self._is_on_trial = True, False
        for index, partition in enumerate(self._partitions):
            if index * count // PARTITIONS == number:
                partition.is_wanted.set()
            elif partition.is_wanted.is_set():
                partition.is_wanted.clear()
                group.create_task(partition.consumer.stop(LEAVE_SECONDS), name=f"leave {partition.consumer.queue}")

    async def _declare(self, session: Session) -> None:
        declarations = Declarations(session)
        exchange = keys_exchange(self._node)
        await declarations.exchange(exchange, "topic")
        for number, queue in enumerate(partition_queues(self._node), 1):
            await declarations.queue(queue)
            await declarations.bind_queue(queue, exchange, f"{number}.*")
        await declarations.queue(members_queue(self._node))
        await declarations.close()
