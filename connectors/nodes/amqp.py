"""`amqp-publish`: publish to an exchange or queue of somebody else."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from aio_pika import DeliveryMode, connect
from aio_pika import Message as AmqpMessage
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, DeliveryError
from pydantic import AfterValidator, Field, ValidationInfo
from yarl import URL

from connectors.action import Connector
from connectors.clients import Opened, address_in, known_address
from connectors.configured import Configuration, Configured
from connectors.message import Message
from connectors.nodes.expression import Languages
from connectors.outcome import Repeat, Trash

AGAIN_AFTER = timedelta(seconds=60)
ANSWER_SECONDS = 30


def _known_variable(name: str, info: ValidationInfo) -> str:
    if URL(known_address(name, info)).scheme not in {"amqp", "amqps"}:
        raise ValueError(f"{name} holds no address of a broker: amqp://user:password@host:5672/%2F")
    return name


class PublishConfiguration(Configuration):
    """Which broker, exchange and routing key; what is published beside the message's body."""

    url_variable: Annotated[str, AfterValidator(_known_variable)]
    """The environment variable that holds the broker's address."""
    exchange: str = ""
    """Without one, the routing key is the name of a queue."""
    routing_key: str | Languages
    body: Languages | None = None
    headers: Mapping[str, Languages] = Field(default_factory=dict)
    content_type: str = "application/json"


class AmqpPublish(Configured[PublishConfiguration], Connector[Any, Any]):
    """Publishes the body, persistent and confirmed, and passes the message on.

    Configuration: `{"url_variable": "SHOP_BROKER", "exchange": "orders", "routing_key": {"jmespath": "country"},
    "body": {"jmespath": "order"}, "headers": {"tenant": {"jmespath": "header('user')"}}}`. The message id is the
    process id, so that the receiver knows what it gets twice. What no queue takes goes to the trash.
    """

    name = "amqp-publish"
    configuration_type = PublishConfiguration

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Publish; return when the broker has confirmed. Raises `Trash` for a routing key that is not text."""
        wanted = self.configuration
        key = (
            wanted.routing_key
            if isinstance(wanted.routing_key, str)
            else await wanted.routing_key.expression.of(message)
        )
        if not isinstance(key, str):
            raise Trash("the routing key is not text")
        body = message if wanted.body is None else message.with_data(await wanted.body.expression.of(message))
        headers = {name: await entry.expression.of(message) for name, entry in wanted.headers.items()}
        sent = AmqpMessage(
            body.body.encode(),
            headers=headers,
            content_type=wanted.content_type,
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=str(message.headers.get("process-id", "")),
            correlation_id=str(message.headers.get("correlation-id", "")),
        )
        broker: ForeignBroker = self.clients.get("amqp", wanted.url_variable, open_broker)
        await broker.publish(wanted.exchange, key, sent)
        return message


class ForeignBroker:
    """A connection that is opened when something is to be published, and again after it was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def publish(self, exchange: str, routing_key: str, sent: AmqpMessage) -> None:
        """Return when the broker has it. Raises `Repeat` when it is away, `Trash` when nobody takes it."""
        place = f"exchange {exchange!r}, routing key {routing_key!r}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                channel = await self._open()
                target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
                await target.publish(sent, routing_key, mandatory=True)
        except DeliveryError as error:
            raise Trash(f"no queue takes it: {place}") from error
        except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
            reason = f"{place}: {type(error).__name__}: {error}"
            if "NOT_FOUND" in str(error):
                raise Trash(reason) from error
            raise Repeat(AGAIN_AFTER, reason, max_hops=100) from error

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            if self._connection is None or self._connection.is_closed:
                self._connection = await connect(self._url)
                self._channel = None
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel


def open_broker(variable: str) -> Opened:
    """Return the broker whose address stands in an environment variable."""
    broker = ForeignBroker(address_in(variable))
    return broker, broker.close
