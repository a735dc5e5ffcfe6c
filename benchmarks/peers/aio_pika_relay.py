"""The relay in plain aio-pika, by the book, with uvloop."""

import asyncio
import json
import sys
from itertools import pairwise

import aio_pika
import uvloop


async def main(url: str, prefetch: int, counter: str, *nodes: str) -> None:
    """Take messages from each node to the next; until terminated."""
    connection = await aio_pika.connect_robust(url)
    for source, target in pairwise(nodes):
        channel = await connection.channel(on_return_raises=True)
        await channel.set_qos(prefetch_count=prefetch)
        await relay(channel, f"node.{source}.1", f"node.{target}.hx", counter)
    await asyncio.Event().wait()


async def relay(channel: aio_pika.abc.AbstractChannel, source: str, target: str, counter: str) -> None:
    """Consume, publish to the target and the counter, acknowledge."""
    queue = await channel.get_queue(source)
    exchange = await channel.get_exchange(target)

    async def process(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with message.process():
            envelope = json.loads(message.body)
            envelope["headers"]["previous-node-id"] = source
            await exchange.publish(encode(envelope, message), "1")
            report = {"headers": envelope["headers"], "body": '{"success":true,"following":1}'}
            await channel.default_exchange.publish(encode(report, message), counter)

    await queue.consume(process)


def encode(envelope: dict[str, object], source: aio_pika.abc.AbstractIncomingMessage) -> aio_pika.Message:
    """Return the message to publish."""
    return aio_pika.Message(
        json.dumps(envelope).encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=source.headers,
    )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
