"""What is sent: messages with odd headers, bodies and properties, and those that an action ends oddly on."""

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aio_pika
import msgspec
from rich.progress import Progress
from support.odd import KNOWN_HEADERS, ODD_ENDS, ODD_VALUES, odd_bytes
from support.topologies import TopologyFile

from worker.protocol import headers as h

ODD_NODES = ("pass", "ask", "copy", "ordered")
SHARES = (8, 1, 6, 5)
"""Of user tasks the fewest: each is written to disk."""
ENDING_NODES = ("odd", "thread")
TOGETHER = 200

NOT_MIXED = {h.USER_TASK_STATE, h.LIMITER_KEY, h.LIMITER_KEY_BASE, h.LIMIT_PLACE, h.PROCESS_ID}
"""Headers by which a message ends in another way, or is the same as another one."""

BODIES = (
    "", "{", "NaN", '{"id":NaN}', '{"id":1e400}', '{"id":' + "[" * 199 + "]" * 199 + "}", "[" * 5000, "\x00", "\ufffe",
)  # fmt: skip
PROPERTIES: tuple[Any, ...] = (
    None, True, 0, -1, 2**62, -(2**63), 2**63 - 1, 1.5, "x", "5", [], [1, "a"], {}, {"a": {"b": 1}}, Decimal("1.5"),
    bytearray(b"\xff"),
)  # fmt: skip
"""Values of `published-timestamp` and `x-delivery-count`, which publishers may set as they like."""


@dataclass(slots=True)
class Sent:
    """What was sent."""

    queues: Sequence[str]
    by_node: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All messages."""
        return self.by_node.total()


async def send(
    channel: aio_pika.abc.AbstractChannel,
    nodes: TopologyFile,
    chance: random.Random,
    options: argparse.Namespace,
    progress: Progress,
) -> Sent:
    """Send everything, as fast as the broker confirms."""
    sent = Sent([nodes.queue(name) for name in (*ODD_NODES, *ENDING_NODES)])
    bar = progress.add_task("sent", total=options.messages + options.outcomes)
    exchanges = {name: await channel.get_exchange(nodes.exchange(name)) for name in (*ODD_NODES, *ENDING_NODES)}
    left = iter([*_odd(chance, options.messages), *_ending(options.outcomes)])
    while some := [one for _, one in zip(range(TOGETHER), left, strict=False)]:
        await asyncio.gather(*(exchanges[name].publish(message, "1") for name, message in some))
        sent.by_node.update(name for name, _ in some)
        progress.advance(bar, len(some))
    return sent


def _odd(chance: random.Random, count: int) -> Iterator[tuple[str, aio_pika.Message]]:
    unreadable = list(odd_bytes())
    for number in range(count):
        is_unreadable = number % 10 == 0
        raw = chance.choice(unreadable) if is_unreadable else _encoded(chance, number)
        (node,) = chance.choices(ODD_NODES, SHARES)
        yield node, _message(raw, {} if is_unreadable else _properties(chance, number))


def _encoded(chance: random.Random, number: int) -> bytes:
    names = [name for name in chance.sample(KNOWN_HEADERS, chance.randrange(8)) if name not in NOT_MIXED]
    headers = {"correlation-id": f"run-{number}", "process-id": f"process-{number}", "user": "alice"}
    headers |= {name: chance.choice(ODD_VALUES) for name in names}
    return msgspec.json.encode({"headers": headers, "body": chance.choice(BODIES)})


def _ending(count: int) -> Iterator[tuple[str, aio_pika.Message]]:
    for number in range(count):
        headers = {"correlation-id": f"end-{number}", "process-id": f"end-{number}"}
        raw = msgspec.json.encode({"headers": headers, "body": str(number % len(ODD_ENDS))})
        yield ENDING_NODES[number % 2], _message(raw, {})


def _properties(chance: random.Random, number: int) -> dict[str, Any]:
    names = ("published-timestamp", "x-delivery-count") if number % 5 == 0 else ("published-timestamp",)
    return {name: chance.choice(PROPERTIES) for name in names}


def _message(raw: bytes, properties: dict[str, Any]) -> aio_pika.Message:
    return aio_pika.Message(raw, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, headers=properties)
