"""A connector of a service with logins, for workers and commands: `--actions support.books`."""

from typing import Any

from connectors import Batch, Connector, Message, Page
from support.oauth_application import Books


class Ask(Connector[Any, Any]):
    """Asks the service."""

    name = "books-ask"
    application = Books

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the reply."""
        return message.with_data((await self.get("/orders")).json())


class Tell(Connector[Any, Any]):
    """Tells the service what the message says."""

    name = "books-tell"
    application = Books

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the reply."""
        return message.with_data((await self.post("/orders", json=message.data)).json())


class Leak(Batch[Any, Any]):
    """Fails in every way that is written to the log, with the token in its mouth."""

    name = "books-leak"
    application = Books

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        """Return one item."""
        token = max((await self.access()).secrets, key=len)
        try:
            _ = message.headers[token]
        except KeyError:
            self.log.exception("leaked", seen={"in": [token]}, header=f"Bearer {token}")

        async def fail() -> None:
            raise ValueError(f"cannot save as {token}")

        return Page([1], confirmed=fail)
