"""The test's own view of the broker: publish, read, count, take away."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from pamqp.commands import Basic

from support.waiting import eventually

PUBLISH_TOGETHER = 500
PREFETCH = 1000
READ_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ProcessMessage:
    """A process message as it lies in a queue."""

    headers: Mapping[str, Any]
    body: str

    @property
    def data(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def process_message(data: Any, **headers: Any) -> ProcessMessage:
    """Return the first message of a run, with ids of its own."""
    ids = {"correlation-id": str(uuid4()), "process-id": str(uuid4()), "parent-id": ""}
    return ProcessMessage({**ids, **headers}, json.dumps(data))


class Queues:
    """A connection to the broker, opened when needed and again after it was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def declare(self, exchange: str, queue: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Declare a node's exchange and queue as the platform does, or with other arguments, and bind them."""
        channel = await self.channel()
        await channel.exchange_declare(exchange, exchange_type="x-consistent-hash", durable=True)
        await channel.queue_declare(queue, durable=True, arguments=dict(arguments or {"x-queue-type": "quorum"}))
        await channel.queue_bind(queue, exchange, routing_key="1")

    async def publish(self, exchange: str, *messages: ProcessMessage) -> None:
        """Publish to a node; return when the broker has confirmed all of them."""
        await self.channel()  # one for all, so that they keep their order
        for start in range(0, len(messages), PUBLISH_TOGETHER):
            some = messages[start : start + PUBLISH_TOGETHER]
            await asyncio.gather(*(self.publish_raw(exchange, _encode(message)) for message in some))

    async def publish_raw(
        self, exchange: str, body: bytes, routing_key: str = "1", *, with_timestamp: bool = True
    ) -> None:
        """Publish these bytes; without timestamp as a publisher does that knows nothing of the platform."""
        headers: dict[str, Any] = {"published-timestamp": time.time_ns() // 1_000_000} if with_timestamp else {}
        properties = Basic.Properties(content_type="application/json", delivery_mode=2, headers=headers)
        channel = await self.channel()
        await channel.basic_publish(
            body, exchange=exchange, routing_key=routing_key, properties=properties, mandatory=True
        )

    async def length(self, queue: str) -> int:
        """Count the messages that wait in a queue; those delivered and not acknowledged are not among them."""
        declared = await (await self.channel()).queue_declare(queue, passive=True)
        return declared.message_count or 0

    async def consumers(self, queue: str) -> int:
        """Count the consumers of a queue, as the broker knows them."""
        declared = await (await self.channel()).queue_declare(queue, passive=True)
        return declared.consumer_count or 0

    async def read(self, queue: str, count: int, *, seconds: float = 10) -> list[ProcessMessage]:
        """Take this many messages out of a queue; raises `AssertionError` when they do not arrive.

        One by one and without acknowledgements: RabbitMQ 3.10 was seen to give the last ones back, although they were
        acknowledged, when their channel closes right afterwards.
        """
        channel = await self._open_channel()
        messages: list[ProcessMessage] = []

        async def take() -> bool:
            while len(messages) < count:
                message = await channel.basic_get(queue, no_ack=True)
                if isinstance(message.delivery, Basic.GetEmpty):
                    return False
                messages.append(_decode(message.body))
            return True

        await eventually(take, seconds=seconds, what=f"{count} messages in {queue}")
        await channel.close()
        return messages

    async def read_all(self, queue: str) -> list[ProcessMessage]:
        """Take all messages that wait in a queue out of it; some may be taken again by the next call."""
        count = await self.length(queue)
        messages: list[ProcessMessage] = []
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        channel = await self._open_channel()
        await channel.basic_qos(prefetch_count=PREFETCH)
        await channel.basic_consume(queue, arrived.put)
        async with asyncio.timeout(READ_SECONDS):
            while len(messages) < count:
                message = await arrived.get()
                messages.append(_decode(message.body))
                await channel.basic_ack(message.delivery_tag or 0, wait=False)
        await channel.close()
        return messages

    async def take_and_drop(self, queue: str) -> None:
        """Take a message as a consumer does that dies with it: the broker counts a delivery and takes it back."""
        channel = await self._open_channel()
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        await channel.basic_qos(prefetch_count=1)
        await channel.basic_consume(queue, arrived.put)
        async with asyncio.timeout(READ_SECONDS):
            await arrived.get()
        await channel.close()

    async def unbind(self, exchange: str, queue: str) -> None:
        """Take a queue off its exchange."""
        await (await self.channel()).queue_unbind(queue, exchange, routing_key="1")

    async def purge(self, queue: str) -> None:
        """Drop the messages that wait in a queue."""
        await (await self.channel()).queue_purge(queue)

    async def delete_queue(self, queue: str) -> None:
        """Delete a queue with its messages."""
        await (await self.channel()).queue_delete(queue)

    async def delete(self, exchange: str, *queues: str) -> None:
        """Delete what a node has, if it is there and the broker too."""
        with suppress(ConnectionError):
            channel = await self.channel()
            for queue in queues:
                await channel.queue_delete(queue)
            await channel.exchange_delete(exchange)

    async def channel(self) -> AbstractChannel:
        """Return an open channel in confirm mode."""
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._open_channel()
        return self._channel

    async def _open_channel(self) -> AbstractChannel:
        if self._connection is None or self._connection.is_closed:
            self._connection = await aiormq.connect(self._url)
        return await self._connection.channel()

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()


def _encode(message: ProcessMessage) -> bytes:
    return json.dumps({"headers": message.headers, "body": message.body}).encode()


def _decode(body: bytes) -> ProcessMessage:
    content = json.loads(body)
    return ProcessMessage(content["headers"], content["body"])


def bodies(messages: Iterable[ProcessMessage]) -> list[Any]:
    """Return the data of messages, sorted."""
    return sorted(message.data for message in messages)
