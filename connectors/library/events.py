"""`event-status-filter-...`: pass on the platform's events of one type, in its topology `system-events`."""

from typing import Any

from connectors.action import CustomNode
from connectors.functions import custom_node
from connectors.message import Message
from connectors.outcome import Stop


def _only(event: str) -> CustomNode[Any, Any]:
    @custom_node(f"event-status-filter-{event}")
    async def passes(message: Message[Any]) -> Message[Any]:
        """Passes on events of this type; of others the branch ends, as a success."""
        if message.data.get("type") != event:
            raise Stop("Filtered out!")
        return message

    return passes


FILTERS = tuple(map(_only, ("processSuccess", "processFailed", "limitOverflow", "messageInTrash")))
