"""Applications of the tests; their addresses are those of a server of the test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, HttpUrl, SecretStr

from applications import Application, ClientAuthentication, Form, OAuth2, sync_method
from applications.authentication import Grant
from applications.http.client import Client


class Login(Form):
    """What an OAuth 2 client is filled in with."""

    client_id: str = Field(title="Client Id")
    client_secret: SecretStr = Field(title="Client Secret")
    server: HttpUrl = Field(title="Server")


class Books(Application):
    """A service with logins; header, PKCE."""

    key = "books"
    name = "Books"
    logo = Path(__file__).with_name("books.svg")
    base_url = "{server}/api"
    authentication = OAuth2(
        authorize_url="{server}/authorize",
        token_url="{server}/token",
        scopes=("read", "write"),
        client_authentication=ClientAuthentication.HEADER,
        authorize_parameters={"access_type": "offline"},
    )
    forms = (Login,)

    @sync_method
    async def orders(self, client: Client, parameters: Mapping[str, str]) -> Any:
        """Return what the service says."""
        reply = await client.get("/orders", params=parameters)
        return reply.json()


class Machine(Books):
    """A service whose client asks for itself."""

    key = "machine"
    authentication = OAuth2(token_url="{server}/token", scopes=("read",), grant=Grant.CLIENT_CREDENTIALS)
