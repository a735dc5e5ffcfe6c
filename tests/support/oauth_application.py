"""Applications of the tests; their addresses are those of a server of the test."""

from pathlib import Path
from typing import Any

from pydantic import Field, HttpUrl, SecretStr

from applications import Application, ClientAuthentication, Form, OAuth2, sync_method
from applications.authentication import Grant
from applications.sync_call import SyncCall, TextReply


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
    async def orders(self, call: SyncCall) -> Any:
        """Return what the service says."""
        reply = await call.client.get("/orders", params=call.query)
        return reply.json()

    @sync_method("whatIsAsked")
    async def asked(self, call: SyncCall) -> TextReply | None:
        """Return the request as text; of a GET nothing."""
        if call.method == "GET":
            return None
        return TextReply(f"<p>{call.method} {call.user or 'nobody'} {call.json()['lang']}</p>", "text/html")


class Machine(Books):
    """A service whose client asks for itself."""

    key = "machine"
    authentication = OAuth2(token_url="{server}/token", scopes=("read",), grant=Grant.CLIENT_CREDENTIALS)
