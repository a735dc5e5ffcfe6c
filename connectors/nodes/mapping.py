"""`map`: rebuild the body and headers of a message."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from connectors.action import CustomNode
from connectors.configured import Configured
from connectors.message import Message
from connectors.nodes.expression import Languages, Templates


class MapConfiguration(Templates):
    """The expression of the body, and of headers to set."""

    headers: Mapping[str, Languages] = Field(default_factory=dict)


class Map(Configured[MapConfiguration], CustomNode[Any, Any]):
    """Rebuilds the body with an expression: JMESPath and JSONata give JSON, a Jinja template gives text.

    Configuration: `{"jmespath": "{id: number, sum: total}", "headers": {"user": {"jmespath": "customer"}}}`. A header
    whose expression gives null is left as it is.
    """

    name = "map"
    configuration_type = MapConfiguration

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message with the new body and headers."""
        expression = self.configuration.expression
        value = await expression.of(message)
        headers = {name: await entry.expression.of(message) for name, entry in self.configuration.headers.items()}
        made = message.with_headers({name: value for name, value in headers.items() if value is not None})
        return made.with_body(value) if expression.language == "jinja" else made.with_data(value)
