"""The applications that were recorded."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import AnyUrl, Field, SecretStr

from applications import Application, SyncCall
from applications.application import ApplicationType, CustomAction, sync_method
from applications.authentication import ApiKey, Basic, ClientAuthentication, OAuth2
from applications.forms import LIMITER_FORM, Choices, Form, Values
from applications.http.client import Client
from applications.limit import Limit
from applications.webhook_call import Subscription
from worker.accounts.platform_settings import SharedSettings

from .sync_methods import Methods


class BasicForm(Form):
    """User and password."""

    form_description = "Auth desc"
    user: str = Field(title="User", description="User desc")
    password: SecretStr = Field(title="Password")


class TypesForm(Form):
    """One field of each type."""

    form_key = "types_form"
    form_name = "Types"
    is_read_only = True
    text: str = Field("default text", title="Text")
    number: int = Field(5, title="Number", json_schema_extra={"readOnly": True})
    url: AnyUrl | None = Field(None, title="Url", json_schema_extra={"disabled": True})
    select: Literal["a", "b", "c"] = Field("b", title="Select")
    select2: Literal["k1", "k2"] | None = Field(
        None, title="Select2", json_schema_extra={"labels": {"k1": "Label 1", "k2": "Label 2"}}
    )
    multi: list[Literal["x", "y"]] = Field(["x"], title="Multi")
    check: bool = Field(False, title="Check")
    secret2: SecretStr | None = Field(None, title="Secret 2")


class BasicApp(Methods, Application):
    """Signs with user and password."""

    key = "basic-app"
    name = "Basic App"
    description = "Basic app description"
    info = "# Info\nSome *info* text.\n"
    logo = Path(__file__).with_name("logo.png")
    authentication = Basic()
    forms = (BasicForm, TypesForm)


class ClientForm(Form):
    """An OAuth 2 client."""

    client_id: str = Field(title="Client Id")
    client_secret: SecretStr = Field(title="Client Secret")


def oauth_app(web: str) -> type[Application]:
    """Return the application with logins at this address."""

    class OAuthApp(Application):
        """Logs in."""

        key = "oauth-app"
        name = "OAuth App"
        description = "OAuth2 app"
        authentication = OAuth2(
            authorize_url=f"{web}/oauth/authorize",
            token_url=f"{web}/oauth/token",
            scopes=("read", "write all"),
            scope_separator=",",
            has_pkce=False,
            authorize_parameters={"access_type": "offline"},
        )
        forms = (ClientForm,)

        @sync_method("refresh")
        async def refresh(self, call: SyncCall) -> object:
            """Renew the token of a user, and show what is stored then."""
            await call.client.token()
            install = await self.installs.get(type(self), call.user)
            assert isinstance(install.sealed, SharedSettings), "installs are the platform's documents"
            return install.sealed.content

    return OAuthApp


def oauth_space_app(web: str) -> type[Application]:
    """Return the one that separates scopes by blanks, and says in a header who it is."""

    class OAuthSpaceApp(oauth_app(web)):  # type: ignore[misc]  # made for each address
        """Logs in otherwise."""

        key = "oauth-space-app"
        authentication = OAuth2(
            authorize_url=f"{web}/oauth/authorize",
            token_url=f"{web}/oauth/token",
            scopes=("read", "write all"),
            has_pkce=False,
            client_authentication=ClientAuthentication.HEADER,
            authorize_parameters={"access_type": "offline"},
        )

    return OAuthSpaceApp


class TokenForm(Form):
    """A token."""

    token: str = Field(title="Token")


class WebhookApp(Application):
    """Is called by its service."""

    key = "webhook-app"
    name = "Webhook App"
    description = "Webhook app"
    kind = ApplicationType.WEBHOOK
    authentication = ApiKey(header="Authorization")
    forms = (TokenForm,)
    web: ClassVar[str] = ""
    """Where the service is."""
    webhooks = (Subscription("issues"), Subscription("pulls"), Subscription("default-sub"))

    async def subscribe(self, client: Client, name: str, url: str, secret: str, parameters: Mapping[str, str]) -> str:
        """Ask the service."""
        reply = await client.post(f"{self.web}/hooks", json={"url": url, "event": name, "params": dict(parameters)})
        return str(reply.json()["id"])

    async def unsubscribe(self, client: Client, remote_id: str) -> None:
        """Ask the service."""
        await client.delete(f"{self.web}/hooks/{remote_id}")


class OtherForm(Form):
    """Not for signing in."""

    form_key = "other_form"
    form_name = "Other"
    x: str | None = Field(None, title="X")


class LimitsApp(Application):
    """Has limits and buttons."""

    key = "limits-app"
    name = "Limits App"
    description = "Custom actions & global limits"
    is_installable = False
    forms = (OtherForm,)
    limit = Limit(60, 100)
    custom_actions = (
        CustomAction("Open it", "open", url="https://example.com/x", body="b"),
        CustomAction("Call it", "call", topology="topo", node="node"),
        CustomAction("Call body", "call", topology="topo", node="node", body='{"a":1}'),
    )


class Unsigned(Application):
    """Lacks the user and password that the recorded ones sign with."""

    @classmethod
    def is_authorized(cls, settings: Values, *, has_token: bool) -> bool:
        """Return no."""
        return False


class BareApp(Unsigned):
    """Cannot say what can be chosen."""

    key = "bare-app"
    name = "Bare"

    async def choices(self, client: Client) -> dict[str, Choices]:
        """Fail."""
        raise RuntimeError("form replace failed")


class OwnLimiter(Form):
    """A limit for all users."""

    form_key = LIMITER_FORM
    form_name = "Own limiter"
    groupValue: int | None = Field(None, title="GV")  # noqa: N815 - as it was recorded
    groupTime: int | None = Field(None, title="GT")  # noqa: N815 - as above


class DynForm(Form):
    """A choice that is known at run time only."""

    form_key = "dyn"
    form_name = "Dyn"
    choice: str | None = Field(None, title="Choice")


class DynApp(Unsigned):
    """Says at run time what can be chosen."""

    key = "dyn-app"
    name = "Dyn"
    description = "customFormReplace + own limiter form"
    forms = (OwnLimiter, DynForm)

    async def choices(self, client: Client) -> dict[str, Choices]:
        """Return two."""
        return {"choice": ["one", "two"]}


def applications(web: str) -> list[type[Application]]:
    """Return all of them; `web` is the address of the service that they call."""
    WebhookApp.web = web
    return [BasicApp, oauth_app(web), oauth_space_app(web), WebhookApp, LimitsApp, BareApp, DynApp]
