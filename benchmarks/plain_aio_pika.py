"""A plain aio-pika loop that does a relay's work: what one would write by the book, with uvloop."""

import asyncio
import json
import sys

import aio_pika
import uvloop


async def relay(url: str, source: str, target: str, counter: str, prefetch: int) -> None:
    """Consume, publish to the target and the counter, acknowledge; until terminated."""
    connection = await aio_pika.connect_robust(url)
    channel = await connection.channel(on_return_raises=True)
    await channel.set_qos(prefetch_count=prefetch)
    queue = await channel.get_queue(source)
    exchange = await channel.get_exchange(target)

    async def process(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with message.process():
            envelope = json.loads(message.body)
            envelope["headers"]["previous-node-id"] = "plain"
            await exchange.publish(_message(envelope, message.headers), "1")
            report = {"headers": envelope["headers"], "body": '{"success":true,"following":1}'}
            await channel.default_exchange.publish(_message(report, message.headers), counter)

    await queue.consume(process)
    await asyncio.Event().wait()


def _message(envelope: dict[str, object], headers: aio_pika.abc.HeadersType) -> aio_pika.Message:
    return aio_pika.Message(
        json.dumps(envelope).encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=headers,
    )


if __name__ == "__main__":
    uvloop.run(relay(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])))
