"""`filter`: let pass the messages that an expression is true for."""

from typing import Any

from connectors.action import CustomNode
from connectors.configured import Configured
from connectors.message import Message
from connectors.nodes.expression import Languages
from connectors.outcome import Stop


class Filter(Configured[Languages], CustomNode[Any, Any]):
    """Lets a message pass when the expression is true; else the branch ends here, as a success.

    Configuration: `{"jmespath": "total > `100`"}`. False are `false`, null, and what is empty (text, list, object).
    """

    name = "filter"
    configuration_type = Languages

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message. Raises `Stop` where the expression is false."""
        expression = self.configuration.expression
        value = await expression.of(message)
        if value is None or value is False or value in ("", [], {}):
            raise Stop(f"filtered out: {expression} is false")
        return message
