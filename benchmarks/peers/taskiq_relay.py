"""The relay in taskiq with its aio-pika broker, and uvloop.

`fill` sends the first messages, since taskiq's messages have a form of their own; `run` works.
"""

import asyncio
import sys
from itertools import pairwise

import uvloop
from taskiq.api import run_receiver_task
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue
from taskiq_aio_pika.queue import QueueType


def broker_of(url: str, prefetch: int, node: str) -> AioPikaBroker:
    """Return the broker of one node: taskiq has one queue for each."""
    return AioPikaBroker(
        url,
        qos=prefetch,
        exchange=Exchange(name=f"taskiq.{node}", durable=True),
        task_queues=[Queue(name=f"node.{node}.1", type=QueueType.QUORUM, routing_key=f"node.{node}.1")],
    )


async def start(url: str, prefetch: int, counter: str, *nodes: str) -> dict[str, AioPikaBroker]:
    """Connect and declare, with the task of each node but the last."""
    brokers = {node: broker_of(url, prefetch, node) for node in (*nodes, counter)}
    tasks = {node: broker.register_task(nothing, task_name=node) for node, broker in brokers.items()}
    for source, target in pairwise(nodes):
        process = relay(source, tasks[target], tasks[counter])
        tasks[source] = brokers[source].register_task(process, task_name=source)
    for broker in brokers.values():
        broker.is_worker_process = True
        await broker.startup()
    return brokers


async def run(url: str, prefetch: int, counter: str, *nodes: str) -> None:
    """Take messages from each node to the next; until terminated."""
    brokers = await start(url, prefetch, counter, *nodes)
    await asyncio.gather(*(run_receiver_task(brokers[node], max_async_tasks=prefetch) for node in nodes[:-1]))


async def nothing(envelope: dict[str, object]) -> None:
    """Stand for a task that runs elsewhere."""


def relay(source: str, target: object, counter: object) -> object:
    """Return the task that sends the next node's and the counter's."""

    async def process(envelope: dict[str, object]) -> None:
        envelope["headers"]["previous-node-id"] = source
        await target.kiq(envelope)
        await counter.kiq({"headers": envelope["headers"], "body": '{"success":true,"following":1}'})

    return process


async def fill(messages: int, size: int, url: str, prefetch: int, counter: str, *nodes: str) -> None:
    """Send the first messages."""
    brokers = await start(url, prefetch, counter, *nodes)
    task = brokers[nodes[0]].register_task(nothing, task_name=nodes[0])
    headers = {"correlation-id": "run", "process-id": "process", "parent-id": "", "user": "bench"}
    for first in range(0, messages, 500):
        some = range(first, min(first + 500, messages))
        await asyncio.gather(*(task.kiq({"headers": headers, "body": "x" * size}) for _ in some))
    for broker in brokers.values():
        await broker.shutdown()


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        uvloop.run(fill(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), *sys.argv[6:]))
    else:
        uvloop.run(run(sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
