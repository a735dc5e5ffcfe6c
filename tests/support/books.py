"""A connector of a service with logins, for workers and commands: `--actions support.books`."""

from typing import Any

from connectors import Connector, Message
from support.oauth_application import Books


class Ask(Connector[Any, Any]):
    """Asks the service."""

    name = "books-ask"
    application = Books

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the reply."""
        return message.with_data((await self.service.get("/orders")).json())


class Tell(Connector[Any, Any]):
    """Tells the service what the message says."""

    name = "books-tell"
    application = Books

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the reply."""
        return message.with_data((await self.service.post("/orders", json=message.data)).json())
