"""Delays: messages that wait in the broker, without a plugin and without blocking one another.

A delay is a sum of lengths, each with a queue whose messages expire after it: 32 seconds and its doubles, one of 1 to
31 seconds, and 500, 250 and 125 milliseconds. The routing key of a message has a word for each level, highest first,
and the node's id: `0. ... .1.7.0.0.1.{node}` waits 32 seconds, 7 seconds and 125 milliseconds. A level's exchange takes
a message into the queue that its word names and hands a 0 to the next lower level, and what expires goes there as well;
below the last level stand the node's own queue and its return queue. Since all messages of a queue have the same time
to live, none waits behind a slower one. The scheme is NServiceBus's, with one level for all short
delays: https://docs.particular.net/transports/rabbitmq/delayed-delivery

What waits in its last queue is on time although the broker is restarted; in an earlier one an outage delays it by no
more than its own length. What a starting broker hands on before the next queue is up comes with RabbitMQ's next
attempt, after `dead_letter_worker_publisher_confirm_timeout`: three minutes by default. Expired messages are
dead-lettered at least once, so a queue keeps a message until the next one has it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker.broker.objects import Declarations
from worker.protocol.topology import Node
from worker.protocol.transport import STEP_SECONDS, Publication

DELIVERY_EXCHANGE = "orchesty-worker.delay"
LOST = f"{DELIVERY_EXCHANGE}.lost"
"""Exchange and queue of what comes out when its node's queue is gone: left in its tier, 32 such messages would block it
for all nodes. `orchesty-worker trash collect` takes them from there."""
LIMITED = ".limit"
"""Ends the routing key of what waits for a limit and has a way back of its own."""


@dataclass(frozen=True, slots=True)
class Level:
    """Queues of which a message passes one at most."""

    exchange: str
    seconds: Mapping[str, float]
    """How long the queues take, by their word of the routing key."""


def tier_queue(seconds: float) -> str:
    """Name the queue whose messages wait so long."""
    return f"{DELIVERY_EXCHANGE}.{seconds:.0f}s" if seconds >= 1 else f"{DELIVERY_EXCHANGE}.{seconds * 1000:.0f}ms"


def _level(seconds: float) -> Level:
    return Level(tier_queue(seconds), {"1": seconds})


_DOUBLES, _SHORT, _FRACTIONS = 16, 32, 3
LEVELS = (
    *(_level(_SHORT * 2**power) for power in reversed(range(_DOUBLES))),
    Level(f"{DELIVERY_EXCHANGE}.short", {str(seconds): seconds for seconds in range(1, _SHORT)}),
    *(_level(2**power * STEP_SECONDS) for power in reversed(range(_FRACTIONS))),
)
LONGEST_DELAY_SECONDS = sum(max(level.seconds.values()) for level in LEVELS)
"""About 24 days."""


def tier_queues() -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield the queues and their arguments."""
    for place, level in enumerate(LEVELS):
        for seconds in level.seconds.values():
            yield tier_queue(seconds), _arguments(seconds, _below(place))


def _below(place: int) -> str:
    return LEVELS[place + 1].exchange if place + 1 < len(LEVELS) else DELIVERY_EXCHANGE


def _arguments(seconds: float, below: str) -> dict[str, object]:
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": int(seconds * 1000),
        "x-dead-letter-exchange": below,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def declare_tiers(declarations: Declarations) -> None:
    """Declare the levels."""
    await declarations.exchange(LOST, "fanout")
    await declarations.queue(LOST)
    await declarations.bind_queue(LOST, LOST, "")
    await declarations.exchange(DELIVERY_EXCHANGE, "topic", {"alternate-exchange": LOST})
    for place, level in reversed(tuple(enumerate(LEVELS))):
        await declarations.exchange(level.exchange, "topic")
        for word, seconds in level.seconds.items():
            await declarations.queue(tier_queue(seconds), _arguments(seconds, _below(place)))
            await declarations.bind_queue(tier_queue(seconds), level.exchange, f"{'*.' * place}{word}.#")
        await declarations.bind_exchange(_below(place), level.exchange, f"{'*.' * place}0.#")


async def let_out(declarations: Declarations, node: Node) -> None:
    """Let the node's messages out into its queue, and what waited for a limit into its return queue.

    Straight into the queue: a binding ends with its queue, and what comes later is lost to a queue where it is seen.
    """
    await declarations.bind_queue(node.queue, DELIVERY_EXCHANGE, "*." * len(LEVELS) + node.id)
    if node.has_return_queue:
        await declarations.queue(node.return_queue)
        await declarations.bind_queue(node.return_queue, DELIVERY_EXCHANGE, "*." * len(LEVELS) + node.id + LIMITED)


def delayed(node: Node, body: bytes, seconds: float, timestamp: int | None, *, is_limited: bool = False) -> Publication:
    """Return the message that comes back to the node after this time, rounded up to an eighth of a second.

    What is limited comes by the node's return queue, if it has one.
    Raises `ValueError` for more than `LONGEST_DELAY_SECONDS`.
    """
    if seconds > LONGEST_DELAY_SECONDS:
        raise ValueError(f"a delay of {seconds} s is longer than the longest possible, {LONGEST_DELAY_SECONDS} s")
    whole, steps = divmod(max(math.ceil(seconds / STEP_SECONDS), 1), 2**_FRACTIONS)
    doubles, short = divmod(whole, _SHORT)
    words = (*f"{doubles:0{_DOUBLES}b}", str(short), *f"{steps:0{_FRACTIONS}b}")
    first = next(place for place, word in enumerate(words) if word != "0")
    address = node.id + LIMITED if is_limited and node.has_return_queue else node.id
    return Publication(LEVELS[first].exchange, ".".join((*words, address)), body, timestamp)


def delay_of(publication: Publication) -> tuple[float, str]:
    """Return after how many seconds the message comes out, and to the node of which id."""
    *words, _ = publication.routing_key.split(".", len(LEVELS))
    seconds = sum(level.seconds.get(word, 0) for level, word in zip(LEVELS, words, strict=True))
    return seconds, node_of(publication.routing_key)


def node_of(routing_key: str) -> str:
    """Return the id of the node that a message with this key goes to."""
    return routing_key.split(".", len(LEVELS))[-1].removesuffix(LIMITED)
