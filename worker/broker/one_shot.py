"""A connection for one look at the broker, without patience."""

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import aiormq

from worker.broker.consumer import QueueState, delivery_of
from worker.broker.link import CONNECTION_ERRORS, Session
from worker.broker.objects import RPC_SECONDS
from worker.broker.opening import broker_url, open_connection
from worker.errors import BrokerError, SettingsError
from worker.protocol.transport import Delivery


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[Session]:
    """Connect once. Raises `BrokerError` that says why it cannot be."""
    logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)  # it logs what it raises
    try:
        connection = await open_connection(broker_url(url), "command")
    except SettingsError as error:
        raise BrokerError(str(error)) from error
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


async def missing_exchanges(session: Session, exchanges: Iterable[str]) -> list[str]:
    """Return those that do not exist."""
    missing = []
    channel = await session.channel()
    for exchange in exchanges:
        try:
            await channel.exchange_declare(exchange, passive=True, timeout=RPC_SECONDS)
        except aiormq.exceptions.ChannelNotFoundEntity:
            missing.append(exchange)
            channel = await session.channel()
    await channel.close()
    return missing


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
