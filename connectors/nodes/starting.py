"""`start-topology`: start another topology with the message, and pass the message on."""

from typing import Any

from pydantic import Field

from connectors.action import CustomNode
from connectors.configured import Configuration, Configured
from connectors.message import Message
from connectors.nodes.expression import Languages


class StartConfiguration(Configuration):
    """Which topology and node, by name or by id; what the new run gets, and for which user."""

    topology: str = Field(min_length=1)
    node: str = Field("start", min_length=1)
    by_id: bool = False
    body: Languages | None = None
    user: Languages | None = None


class StartTopology(Configured[StartConfiguration], CustomNode[Any, Any]):
    """Starts another topology and passes the message on.

    Configuration: `{"topology": "invoices", "node": "start", "body": {"jmespath": "invoice"}}`; with `"by_id": true`
    topology and node are ids. Without `body` the new run gets the message's body.
    """

    name = "start-topology"
    configuration_type = StartConfiguration

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Start the topology."""
        wanted = self.configuration
        sent = message if wanted.body is None else message.with_data(await wanted.body.expression.of(message))
        user = None
        if wanted.user is not None:
            user = await wanted.user.expression.of(message)
            if not isinstance(user, str):
                raise wanted.user.expression.refuse(user, "the name of a user")
        await self.topologies.start(sent, wanted.topology, wanted.node, by_id=wanted.by_id, user=user)
        return message
