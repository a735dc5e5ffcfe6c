"""`get-application-for-refresh` and `refresh-oauth2-token`: the platform's topology that renews tokens.

Nobody needs it here: a token is renewed before a call for which it would be too old.
"""

from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel

from connectors.action import Batch, Connector
from connectors.message import Message
from connectors.outcome import Page

SOON: Final = timedelta(minutes=5)


class ToRenew(BaseModel):
    """Whose token: that of the message's user for this application."""

    app: str


class ListExpiring(Batch[Any, ToRenew]):
    """Makes a message for each enabled install whose token ends within five minutes, or has ended."""

    name = "get-application-for-refresh"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        """Return the messages; there is one page."""
        installs = await self.installs.find(is_enabled=True, expires_within=SOON)
        return Page(
            [
                message.with_data(ToRenew(app=install.application)).with_headers(
                    {"user": install.user} | ({"sdk": install.sdk} if install.sdk else {})
                )
                for install in installs
            ]
        )


class RenewToken(Connector[ToRenew, ToRenew]):
    """Renews the token of the message's user if its time has come, and passes the message on."""

    name = "refresh-oauth2-token"

    async def process(self, message: Message[ToRenew]) -> Message[ToRenew]:
        """Renew the token. An application that is not known here is left to the service that knows it."""
        user, sdk = message.user or None, message.sdk or None
        for install in await self.installs.find(user=user, application=message.data.app, sdk=sdk, is_enabled=True):
            await self.installs.renew(install)
        return message
