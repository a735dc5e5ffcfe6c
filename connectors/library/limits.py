"""`remove-limiter`: take the limits off a message."""

from typing import Any

from connectors.functions import custom_node
from connectors.message import Message


@custom_node("remove-limiter")
async def remove_limiter(message: Message[Any]) -> Message[Any]:
    """Passes the message on without its limits."""
    return message.without_limits()
