"""Broker objects: declared when missing, used as they are when they differ."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import aiormq
import structlog

from worker.broker.link import Session
from worker.errors import BrokerError

log = structlog.get_logger()

RPC_SECONDS = 10
QUORUM = {"x-queue-type": "quorum"}
COUNTER_QUEUE = "pipes.multi-counter"
REPEATER_QUEUE = "pipes.repeater"
LIMITER_QUEUE = "pipes.limiter"
EVENTS_EXCHANGE = "orchesty.events"
COUNTER_EXCHANGE = "orchesty-worker.counter"
"""Standalone: a topic exchange, routing key the correlation id. Who wants to follow a run binds a queue."""

TOGETHER = 16
CHANNELS_EACH = 3
"""To declare and to look, and one whose close the broker has not answered yet."""

PLUGIN = "rabbitmq_consistent_hash_exchange"

Arguments = Mapping[str, Any]
Channel = aiormq.abc.AbstractChannel


class PluginMissing(BrokerError):
    """The broker cannot declare the exchanges of nodes."""

    def __init__(self) -> None:
        super().__init__(
            "the broker lacks the exchange type x-consistent-hash; run on the broker's host: "
            f"rabbitmq-plugins enable {PLUGIN}"
        )


async def together(session: Session, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do the work as many times side by side as a connection that consumes nothing yet has channels for.

    The broker takes its time for each question, not for many at once. The work takes from a list that all share.
    """
    async with asyncio.TaskGroup() as group:
        for _ in range(max(1, min(TOGETHER, session.free_channels // CHANNELS_EACH))):
            group.create_task(work())


class Declarations:
    """Declares on a channel of its own, since a refused declaration closes its channel."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.differing: dict[str, str] = {}
        """How queues differ from what was to be declared, by name."""
        self._channel: Channel | None = None

    async def node(self, exchange: str, queue: str, binding_key: str) -> None:
        """Declare a node's exchange and queue, and bind them."""
        try:
            await self.exchange(exchange, "x-consistent-hash")
        except aiormq.exceptions.AMQPError as error:
            if "unknown exchange type" in str(error) or "invalid exchange type" in str(error):
                raise PluginMissing from error
            raise
        await self.queue(queue)
        await self.bind_queue(queue, exchange, binding_key)

    async def exchange(self, name: str, kind: str, arguments: Arguments | None = None) -> None:
        """Declare a durable exchange."""
        await self._declare(
            f"exchange {name}",
            lambda channel: channel.exchange_declare(
                name, exchange_type=kind, durable=True, arguments=dict(arguments or {}), timeout=RPC_SECONDS
            ),
            lambda channel: channel.exchange_declare(name, passive=True, timeout=RPC_SECONDS),
        )

    async def queue(self, name: str, arguments: Arguments = QUORUM) -> None:
        """Declare a durable queue."""
        difference = await self._declare(
            f"queue {name}",
            lambda channel: channel.queue_declare(name, durable=True, arguments=dict(arguments), timeout=RPC_SECONDS),
            lambda channel: channel.queue_declare(name, passive=True, timeout=RPC_SECONDS),
        )
        if difference is not None:
            self.differing[name] = difference

    async def bind_queue(self, queue: str, exchange: str, key: str) -> None:
        """Bind a queue to an exchange."""
        channel = await self._open()
        await channel.queue_bind(queue, exchange, routing_key=key, timeout=RPC_SECONDS)

    async def bind_exchange(self, destination: str, source: str, key: str) -> None:
        """Bind an exchange to another one."""
        channel = await self._open()
        await channel.exchange_bind(destination=destination, source=source, routing_key=key, timeout=RPC_SECONDS)

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None and not self._channel.is_closed:
            await self._channel.close()

    async def _declare(
        self,
        what: str,
        declare: Callable[[Channel], Awaitable[object]],
        look: Callable[[Channel], Awaitable[object]],
    ) -> str | None:
        """Return how the object differs that is there, None where it does not."""
        try:
            await declare(await self._open())
        except aiormq.exceptions.ChannelPreconditionFailed as error:
            await look(await self._open())
            log.warning("broker_object_differs", object=what, difference=str(error), consequence="used as it is")
            return str(error)
        return None

    async def _open(self) -> Channel:
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._session.channel()
        return self._channel
