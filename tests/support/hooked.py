"""A service with logins that hears of each change of an install: `--actions support.hooked`."""

import os
from typing import Any

from applications.http.client import Client
from applications.install import Install
from connectors import Connector, Message
from support.oauth_application import Books


class Hooked(Books):
    """Tells the service the hook and whether the install is on, and at the end the refresh token."""

    key = "hooked"

    async def after_uninstall(self, install: Install, client: Client) -> None:
        """Tell the refresh token."""
        token = await client.token()
        await client.get(f"/after_uninstall/{install.is_enabled}/{token.refresh_token if token else None}")

    async def after_install(self, install: Install, client: Client) -> None:
        """Start a topology whose name a test has given, if it has."""
        if topology := os.environ.get("HOOKED_TOPOLOGY"):
            await self.start_topology(topology, data={"new": install.user}, user=install.user)

    async def after_enable(self, install: Install, client: Client) -> None:
        """Tell."""
        await client.get(f"/after_enable/{install.is_enabled}")

    async def after_disable(self, install: Install, client: Client) -> None:
        """Tell."""
        await client.get(f"/after_disable/{install.is_enabled}")


class Ask(Connector[Any, Any]):
    """Brings the application along."""

    name = "hooked-ask"
    application = Hooked

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the reply."""
        return message.with_data((await self.get("/orders")).json())
