"""GitHub: with a token of the user's, or with an OAuth app.

Facts: https://docs.github.com/en/rest, https://docs.github.com/en/apps/oauth-apps/building-oauth-apps.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from pydantic import Field, SecretStr

from applications.application import Application, ApplicationType
from applications.authentication import Bearer, OAuth2
from applications.forms import Form
from applications.http.client import Client
from applications.http.paths import fill_path
from applications.signatures import GITHUB
from applications.webhook_call import Handshake, Subscription, WebhookCall

_HEADERS = MappingProxyType({"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"})


class _Webhooks(Application):
    """What both ways to log in have in common."""

    key = ""
    name = "GitHub"
    kind = ApplicationType.WEBHOOK
    base_url = "https://api.github.com"
    headers = _HEADERS
    webhooks = (
        Subscription("issues", "An issue was opened, edited, closed ...", ("owner", "record")),
        Subscription("pull_request", "A pull request was opened, edited, merged ...", ("owner", "record")),
        Subscription("push", "Commits were pushed.", ("owner", "record")),
    )
    signature = GITHUB
    delivery_header = "x-github-delivery"

    async def subscribe(self, client: Client, name: str, url: str, secret: str, parameters: Mapping[str, str]) -> str:
        """Add a hook to the repository `owner`/`record`."""
        hooks = fill_path("/repos/{owner}/{record}/hooks", parameters)
        config = {"url": url, "content_type": "json", "secret": secret}
        reply = await client.post(hooks, json={"name": "web", "events": [name], "config": config})
        return f"{hooks}/{reply.json()['id']}"

    async def unsubscribe(self, client: Client, remote_id: str) -> None:
        """Delete the hook."""
        await client.delete(remote_id, success={HTTPStatus.NOT_FOUND})

    def handshake(self, call: WebhookCall) -> Handshake | None:
        """Answer the ping that follows a new hook."""
        return Handshake("pong") if call.headers.get("x-github-event") == "ping" else None


class _Token(Form):
    token: SecretStr = Field(title="Token", description="A personal access token.")


class GitHub(_Webhooks):
    """GitHub with a token."""

    key = "git-hub"
    description = "Git hosting and developer collaboration."
    authentication = Bearer()
    forms = (_Token,)


class _Client(Form):
    client_id: str = Field(title="Client Id")
    client_secret: SecretStr = Field(title="Client Secret")


class GitHubOAuth(_Webhooks):
    """GitHub with an OAuth app: the user logs in."""

    key = "git-hub-oauth"
    description = "Git hosting and developer collaboration (OAuth app)."
    authentication = OAuth2(
        authorize_url="https://github.com/login/oauth/authorize",
        token_url="https://github.com/login/oauth/access_token",  # noqa: S106 - an address
        scopes=("repo", "admin:repo_hook"),
    )
    forms = (_Client,)
