"""The relay in FastStream, with uvloop."""

import asyncio
import sys
from itertools import pairwise

import uvloop
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.schemas import QueueType


def build(url: str, prefetch: int, counter: str, *nodes: str) -> FastStream:
    """Return the application that takes messages from each node to the next."""
    broker = RabbitBroker(url, logger=None, default_channel=Channel(prefetch_count=prefetch, on_return_raises=True))
    for source, target in pairwise(nodes):
        add_relay(broker, source, target, counter)
    return FastStream(broker)


def add_relay(broker: RabbitBroker, source: str, target: str, counter: str) -> None:
    """Consume, publish to the target and the counter, acknowledge."""
    own = RabbitExchange(f"node.{source}.hx", type=ExchangeType.X_CONSISTENT_HASH, durable=True)
    queue = RabbitQueue(f"node.{source}.1", queue_type=QueueType.QUORUM, durable=True, routing_key="1")
    following = RabbitExchange(f"node.{target}.hx", type=ExchangeType.X_CONSISTENT_HASH, durable=True)

    @broker.subscriber(queue, own, ack_policy=AckPolicy.NACK_ON_ERROR)
    async def process(envelope: dict[str, object]) -> None:
        envelope["headers"]["previous-node-id"] = source
        await broker.publish(envelope, exchange=following, routing_key="1", persist=True, mandatory=True)
        report = {"headers": envelope["headers"], "body": '{"success":true,"following":1}'}
        await broker.publish(report, routing_key=counter, persist=True, mandatory=True)


async def main(*arguments: str) -> None:
    """Run until terminated."""
    await build(arguments[0], int(arguments[1]), *arguments[2:]).run()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
