"""Xero: refresh tokens rotate, and each call names the organisation.

Facts: https://developer.xero.com/documentation/guides/oauth2/auth-flow.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from applications.application import Application
from applications.authentication import ClientAuthentication, OAuth2
from applications.errors import LoginRefused
from applications.forms import Form
from applications.http.client import Client
from applications.limit import Limit


class _Client(Form):
    client_id: str = Field(title="Client Id")
    client_secret: SecretStr = Field(title="Client Secret")


class Xero(Application):
    """Xero. The first organisation that the user connects is the one that is called."""

    key = "xero"
    name = "Xero"
    description = "Cloud accounting."
    base_url = "https://api.xero.com"
    headers = MappingProxyType({"Accept": "application/json", "Xero-Tenant-Id": "{Xero-Tenant-Id}"})
    authentication = OAuth2(
        authorize_url="https://login.xero.com/identity/connect/authorize",
        token_url="https://identity.xero.com/connect/token",  # noqa: S106 - an address
        scopes=(
            *("openid", "profile", "email", "offline_access", "files"),
            *("accounting.contacts", "accounting.settings", "accounting.transactions"),
        ),
        client_authentication=ClientAuthentication.HEADER,
    )
    forms = (_Client,)
    limit = Limit(seconds=60, amount=60)
    connections_url: ClassVar[str] = "https://api.xero.com/connections"

    async def logged_in(self, client: Client, callback: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the organisation. Raises `LoginRefused` when the user has connected none."""
        reply = await client.get(self.connections_url, headers={"Accept": "application/json"})
        connections = reply.json()
        if not connections:
            raise LoginRefused("no organisation was connected at Xero: log in again and choose one")
        return {"Xero-Tenant-Id": connections[0]["tenantId"]}
