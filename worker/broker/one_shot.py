"""A connection for one look at the broker, without patience."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aio_pika
import aiormq

from worker.broker.consumer import QueueState, delivery_of
from worker.broker.link import CONNECT_SECONDS, CONNECTION_ERRORS, Session
from worker.broker.objects import RPC_SECONDS
from worker.errors import BrokerError
from worker.protocol.transport import Delivery


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[Session]:
    """Connect once. Raises `BrokerError` that says why it cannot be."""
    logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)  # it logs what it raises
    try:
        connection = await aio_pika.connect(
            url, timeout=CONNECT_SECONDS, client_properties={"connection_name": "orchesty-worker command"}
        )
    except ValueError as error:
        raise BrokerError("its address must look like amqp://user:password@host:5672/%2F") from error
    except CONNECTION_ERRORS as error:
        if "Connection.OpenOk" in str(error):  # what aiormq makes of the broker's refusal
            raise BrokerError("the virtual host does not exist, or the user may not use it") from error
        raise BrokerError(f"{type(error).__name__}: {error}") from error
    try:
        yield Session(connection)
    finally:
        await connection.close()


async def queue_states(session: Session, queues: Sequence[str]) -> dict[str, QueueState | None]:
    """Return what the broker says of these queues; None for one that does not exist."""
    states: dict[str, QueueState | None] = {}
    channel = await session.channel()
    for queue in queues:
        try:
            declared = await channel.queue_declare(queue, passive=True, timeout=RPC_SECONDS)
            states[queue] = QueueState(declared.message_count or 0, declared.consumer_count or 0)
        except aiormq.exceptions.ChannelNotFoundEntity:
            states[queue] = None
            channel = await session.channel()
    await channel.close()
    return states


async def taken(session: Session, queue: str, most: int) -> AsyncIterator[Delivery]:
    """Yield up to so many messages of a queue; each is acknowledged when the next one is asked for.

    Raises `BrokerError` when the connection is lost; what is not acknowledged then stays in the queue.
    """
    try:
        channel = await session.channel()
        for _ in range(most):
            message = await channel.basic_get(queue, timeout=RPC_SECONDS)
            if isinstance(message.delivery, aiormq.spec.Basic.GetEmpty):
                break
            delivery = delivery_of(message)
            yield delivery
            await channel.basic_ack(delivery.tag)
        await channel.close()
    except CONNECTION_ERRORS as error:
        raise BrokerError(f"{type(error).__name__}: {error}") from error
