"""Delay tiers: messages that wait in the broker, without a plugin and without blocking one another.

One tier for each power of two steps of an eighth of a second: a topic exchange and a queue whose messages expire after
that time. The routing key of a message is its delay in steps in binary, highest digit first, and the node's id:
`0.1.0.1.{node}` waits four steps and one. A tier's exchange takes a 1 into its queue and hands a 0 to the next lower
tier, and what expires goes there as well; below the last tier stands the node's own exchange. Since all messages of a
queue have the same time to live, none waits behind a slower one. The scheme is NServiceBus's:
https://docs.particular.net/transports/rabbitmq/delayed-delivery

Expired messages are dead-lettered at least once, so a tier keeps a message until the next one has it.
"""

import math
from collections.abc import Iterable

from worker.broker.objects import Declarations
from worker.broker.publisher import Publication
from worker.topology import Node

STEP_SECONDS = 0.125
TIERS = 24
LONGEST_DELAY_SECONDS = (2**TIERS - 1) * STEP_SECONDS
"""About 24 days."""

DELIVERY_EXCHANGE = "orchesty-worker.delay"


def tier_exchange(tier: int) -> str:
    """Name the exchange of a tier, or for -1 the one below the last."""
    if tier < 0:
        return DELIVERY_EXCHANGE
    seconds = 2**tier * STEP_SECONDS
    return f"{DELIVERY_EXCHANGE}.{seconds:.0f}s" if seconds >= 1 else f"{DELIVERY_EXCHANGE}.{seconds * 1000:.0f}ms"


def tier_queue(tier: int) -> str:
    """Name the queue of a tier."""
    return tier_exchange(tier)


def tier_arguments(tier: int) -> dict[str, object]:
    """Return the arguments of a tier's queue."""
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": int(2**tier * STEP_SECONDS * 1000),
        "x-dead-letter-exchange": tier_exchange(tier - 1),
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def declare_tiers(declarations: Declarations, nodes: Iterable[Node]) -> None:
    """Declare the tiers and let the nodes' messages out below the last one."""
    await declarations.exchange(DELIVERY_EXCHANGE, "topic")
    for tier in range(TIERS):
        digits_before = TIERS - 1 - tier
        await declarations.exchange(tier_exchange(tier), "topic")
        await declarations.queue(tier_queue(tier), tier_arguments(tier))
        await declarations.bind_queue(tier_queue(tier), tier_exchange(tier), "*." * digits_before + "1.#")
        await declarations.bind_exchange(tier_exchange(tier - 1), tier_exchange(tier), "*." * digits_before + "0.#")
    for node in nodes:
        await declarations.bind_exchange(node.exchange, DELIVERY_EXCHANGE, "*." * TIERS + node.id)


def delayed(node: Node, body: bytes, seconds: float, timestamp: int | None) -> Publication:
    """Return the message that comes back to the node after this time, rounded up to whole steps.

    Raises `ValueError` for more than `LONGEST_DELAY_SECONDS`.
    """
    if seconds > LONGEST_DELAY_SECONDS:
        raise ValueError(f"a delay of {seconds} s is longer than the longest possible, {LONGEST_DELAY_SECONDS} s")
    steps = max(math.ceil(seconds / STEP_SECONDS), 1)
    digits = f"{steps:0{TIERS}b}"
    return Publication(tier_exchange(steps.bit_length() - 1), ".".join((*digits, node.id)), body, timestamp)


def delay_of(publication: Publication) -> tuple[float, str]:
    """Return after how many seconds the tiers let a message out, and to the node of which id."""
    *digits, node_id = publication.routing_key.split(".", TIERS)
    return int("".join(digits), 2) * STEP_SECONDS, node_id
