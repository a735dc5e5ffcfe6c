"""Actions that wait, repeat or die, so that a change of order would show; and what their order was."""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors import CustomNode, Message, Repeat
from support.queues import ProcessMessage

AnyMessage = Message[Any]


class SleepAtRandom(CustomNode[Any, Any]):
    """Takes up to the seconds that the body names: messages side by side would overtake one another."""

    name = "sleep-at-random"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message after a while."""
        await asyncio.sleep(random.uniform(0, message.data["seconds"]))
        return message


class RepeatMarked(CustomNode[Any, Any]):
    """Asks once for a repeat of what has `repeat` in its body, after that many seconds."""

    name = "repeat-marked"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message the second time."""
        if message.data.get("repeat") and "repeat-hops" not in message.headers:
            raise Repeat(timedelta(seconds=message.data["repeat"]), "once")
        return message


@dataclass(frozen=True, slots=True)
class Swap:
    """A message that came after a later one of its key; the repr says all that is known of it."""

    key: Any
    number: int
    place: int
    """Where it came, among all messages."""
    behind: int
    """The later one that was there before."""
    is_replay: bool
    """Whether it had come before: the first copies are in order."""
    places: tuple[int, ...]
    """Where all its copies came."""


def swaps(messages: Iterable[ProcessMessage]) -> list[Swap]:
    """Return each place where a message came after a later one of its key, again or for the first time."""
    arrived = [(message.data.get("key"), message.data["n"]) for message in messages]
    places: dict[int, list[int]] = {}
    for place, (_, number) in enumerate(arrived):
        places.setdefault(number, []).append(place)
    last: dict[Any, int] = {}
    newest: dict[Any, int] = {}
    found = []
    for place, (key, number) in enumerate(arrived):
        is_replay = place != places[number][0]
        behind = (last if is_replay else newest).get(key, -1)
        if number < behind:
            found.append(Swap(key, number, place, behind, is_replay, tuple(places[number])))
        last[key] = number
        newest[key] = max(number, newest.get(key, -1))
    return found


def first_swaps(messages: Iterable[ProcessMessage]) -> list[Swap]:
    """Return the swaps of first copies: without what came again after a later one."""
    return [swap for swap in swaps(messages) if not swap.is_replay]


def numbers(messages: Iterable[ProcessMessage]) -> list[int]:
    """Return the numbers of messages, one that comes again right away counted once."""
    found: list[int] = []
    for message in messages:
        if not found or found[-1] != message.data["n"]:
            found.append(message.data["n"])
    return found
