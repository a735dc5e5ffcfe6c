"""Actions of the tests; a worker in a process of its own loads them with `--actions support.actions`."""

import asyncio
import time
from datetime import timedelta
from typing import Any

from connectors import Connector, CustomNode, Message, Repeat

AnyMessage = Message[Any]


class Copy(CustomNode[Any, Any]):
    """Passes the message on."""

    name = "copy"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message."""
        return message


class CopyConnector(Connector[Any, Any]):
    """Passes the message on as a connector does, without a service."""

    name = "copy"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message."""
        return message


class Sleep(CustomNode[Any, Any]):
    """Takes the time that the body names: `{"seconds": 1.5}`."""

    name = "sleep"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message after the time."""
        await asyncio.sleep(message.data["seconds"])
        return message


class SleepStubbornly(CustomNode[Any, Any]):
    """As `Sleep`, but does not listen to a cancel."""

    name = "sleep-stubbornly"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message after the time."""
        sleeping = asyncio.ensure_future(asyncio.sleep(message.data["seconds"]))
        while not sleeping.done():
            try:
                await asyncio.shield(sleeping)
            except asyncio.CancelledError:
                continue
        return message


class BlockTheThread(CustomNode[Any, Any]):
    """Holds up all that runs in its process, as no action may."""

    name = "block-the-thread"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message after ten minutes in which nothing else happens."""
        time.sleep(600)  # noqa: ASYNC251 - that is the fault
        return message


class RepeatOnce(CustomNode[Any, Any]):
    """Asks for a repeat after the seconds that the body names, and passes on what comes back."""

    name = "repeat-once"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message the second time."""
        if "repeat-hops" not in message.headers:
            raise Repeat(timedelta(seconds=message.data["seconds"]), "once")
        return message
