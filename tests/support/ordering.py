"""Actions that wait, repeat or die, so that a change of order would show; and what their order was."""

import asyncio
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from connectors import CustomNode, Message, RepeatLater
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
            raise RepeatLater(timedelta(seconds=message.data["repeat"]), "once")
        return message


def swaps(messages: Iterable[ProcessMessage]) -> list[tuple[Any, int, int]]:
    """Return each place where a message came after a later one of its key, again or for the first time."""
    last: dict[Any, int] = {}
    found = []
    for message in messages:
        key, number = message.data.get("key"), message.data["n"]
        if number < last.get(key, -1):
            found.append((key, last[key], number))
        last[key] = number
    return found


def first_copies(messages: Iterable[ProcessMessage]) -> list[ProcessMessage]:
    """Return the messages without those that had come before."""
    firsts: dict[int, ProcessMessage] = {}
    for message in messages:
        firsts.setdefault(message.data["n"], message)
    return list(firsts.values())


def numbers(messages: Iterable[ProcessMessage]) -> list[int]:
    """Return the numbers of messages, one that comes again right away counted once."""
    found: list[int] = []
    for message in messages:
        if not found or found[-1] != message.data["n"]:
            found.append(message.data["n"])
    return found
