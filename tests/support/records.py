"""A connector of a service with logins by OAuth 1.0a, for workers and commands: `--actions support.records`."""

from typing import Any

from connectors import Connector, Message
from support.oauth1_server import Records


class Look(Connector[Any, Any]):
    """Asks the service."""

    name = "records-look"
    application = Records

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the reply."""
        return message.with_data((await self.get("/orders")).json())
