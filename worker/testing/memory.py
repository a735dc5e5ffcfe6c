"""The broker in memory: exchanges, queues and delay tiers, with the names that they have on RabbitMQ."""

import json
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from connectors import Message
from worker.broker.delays import DELIVERY_EXCHANGE, delay_of
from worker.broker.objects import COUNTER_EXCHANGE
from worker.errors import PublishRefused
from worker.protocol.message import decode
from worker.protocol.topology import Topology
from worker.protocol.transport import Delivery, Publication
from worker.testing.clock import FakeClock


@dataclass(slots=True)
class RunCounts:
    """How a run stands, by what its nodes reported to the counter: numbers of messages."""

    total: int = 1
    """Those that there have been so far; each follower, page and item is one more."""
    succeeded: int = 0
    """Those that ended well."""
    failed: int = 0
    """Those that lie in the trash."""

    @property
    def is_finished(self) -> bool:
        """Whether as many messages have ended as there are."""
        return self.succeeded + self.failed >= self.total


class MemoryBroker:
    """Routes what is published, by exchange and routing key as RabbitMQ does; it never waits."""

    def __init__(self, topology: Topology, clock: FakeClock) -> None:
        self._clock = clock
        self._exchanges = {node.id: node.exchange for node in topology.nodes}
        followers = {follower.exchange for node in topology.nodes for follower in node.followers}
        self.queues: dict[str, deque[Delivery]] = {
            exchange: deque() for exchange in (*self._exchanges.values(), *sorted(followers))
        }
        """By exchange; those of followers that are no nodes of the topology are among them."""
        self.arrived: dict[str, list[bytes]] = {exchange: [] for exchange in self.queues}
        self.runs: defaultdict[str, RunCounts] = defaultdict(RunCounts)
        """By correlation id."""
        self.refused: PublishRefused | None = None
        """Why a message could not be routed that a publisher would be patient about."""

    async def publish(self, publications: Sequence[Publication], *, is_patient: bool = True) -> None:
        """Route at once. Raises `PublishRefused` for an exchange that nobody has: a test shall not wait for it."""
        for publication in publications:
            try:
                self._route(publication)
            except PublishRefused as error:
                self.refused = error if is_patient else None
                raise

    def put(self, exchange: str, raw: bytes, timestamp: int | None = None) -> None:
        """Let these bytes arrive at a node."""
        self.arrived[exchange].append(raw)
        stamped = self._clock.milliseconds if timestamp is None else timestamp
        self.queues[exchange].append(Delivery(raw, stamped))

    def hand_back(self, exchange: str, delivery: Delivery) -> None:
        """Let a message wait again that its consumer did not want to finish."""
        again = Delivery(delivery.raw, delivery.timestamp, delivery.deliveries + 1)
        self.queues[exchange].appendleft(again)

    def _route(self, publication: Publication) -> None:
        exchange = publication.exchange
        if exchange in self.queues:
            self.put(exchange, publication.body, publication.timestamp)
        elif exchange == COUNTER_EXCHANGE:
            self._count(publication)
        elif exchange.startswith(f"{DELIVERY_EXCHANGE}."):
            seconds, node_id = delay_of(publication)
            arrive = partial(self.put, self._exchanges[node_id], publication.body, publication.timestamp)
            self._clock.call_later(seconds, arrive)
        else:
            raise PublishRefused(f"exchange {exchange} does not exist")

    def _count(self, publication: Publication) -> None:
        report = json.loads(json.loads(publication.body)["body"])
        counts = self.runs[publication.routing_key]
        counts.total += report["following"]
        if report["success"]:
            counts.succeeded += 1
        else:
            counts.failed += 1


def read(raw: bytes) -> Message[object]:
    """Return the message that lies in these bytes. Raises `UnreadableMessage`."""
    envelope = decode(raw, len(raw))
    return Message(envelope.headers or {}, envelope.body)
