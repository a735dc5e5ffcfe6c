"""Connectors that do with secrets what authors should not: `--actions support.blabbing`."""

from typing import Any

import structlog
from pydantic import Field, HttpUrl, SecretStr

from applications import Application, Form, OAuth2
from applications.authentication import Grant
from connectors import Connector, Message

log = structlog.get_logger()


class Login(Form):
    """What the service is filled in with; one secret stands in the path of its token endpoint."""

    client_id: SecretStr = Field(title="Client Id")
    client_secret: SecretStr = Field(title="Client Secret")
    path_secret: SecretStr = Field(title="Key in the path")
    server: HttpUrl = Field(title="Server")


class Blabber(Application):
    """A service with a secret in its URLs."""

    key = "blabber"
    base_url = "{server}/api/{path_secret}"
    authentication = OAuth2(token_url="{server}/token/{path_secret}?key={path_secret}", grant=Grant.CLIENT_CREDENTIALS)
    forms = (Login,)


class Blab(Connector[Any, Any]):
    """Logs, returns or raises what it knows."""

    name = "blabber-blab"
    application = Blabber

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Do as the message says."""
        access = await self.access()
        reply = await self.get("/orders")
        told = {"url": access.base_url, "fields": dict(access.fields), "reply": reply.url}
        try:
            order = {"say": True}[message.data]
        except KeyError as error:
            log.exception("asking_failed", exc_info=ValueError(f"no such order: {told}"))
            raise ValueError(f"no such order at {access.base_url}: {told}") from error
        log.warning("told", **told)
        return message.with_data({"ok": order})
