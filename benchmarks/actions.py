"""The action of the relay benchmark."""

from typing import Any

from connectors import CustomNode, Message


class Relay(CustomNode[Any, Any]):
    """Passes the message on as it is."""

    name = "relay"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message."""
        return message
