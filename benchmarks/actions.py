"""Actions of the measurements."""

import os
from typing import Any

from connectors import Batch, Connector, CustomNode, Message, Page


class Relay(CustomNode[Any, Any]):
    """Passes the message on as it is."""

    name = "relay"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message."""
        return message


class Slow(Connector[Any, Any]):
    """Asks a service that takes its time."""

    name = "slow"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message after the answer."""
        await self.service.get(os.environ["SLOW_URL"])
        return message


class Split(Batch[Any, Any]):
    """Makes many messages of one."""

    name = "split"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        """Return as many items as the body says."""
        return Page([{"number": number} for number in range(int(message.data["items"]))])
