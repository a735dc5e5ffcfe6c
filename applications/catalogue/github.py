"""GitHub: with a token of the user's, or with an OAuth app.

Facts: https://docs.github.com/en/rest, https://docs.github.com/en/apps/oauth-apps/building-oauth-apps.
"""

from types import MappingProxyType

from pydantic import Field, SecretStr

from applications.application import Application, ApplicationType
from applications.authentication import Bearer, OAuth2
from applications.forms import Form

_HEADERS = MappingProxyType({"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"})


class _Token(Form):
    token: SecretStr = Field(title="Token", description="A personal access token.")


class GitHub(Application):
    """GitHub with a token."""

    key = "git-hub"
    name = "GitHub"
    description = "Git hosting and developer collaboration."
    kind = ApplicationType.WEBHOOK
    base_url = "https://api.github.com"
    headers = _HEADERS
    authentication = Bearer()
    forms = (_Token,)


class _Client(Form):
    client_id: str = Field(title="Client Id")
    client_secret: SecretStr = Field(title="Client Secret")


class GitHubOAuth(Application):
    """GitHub with an OAuth app: the user logs in."""

    key = "git-hub-oauth"
    name = "GitHub"
    description = "Git hosting and developer collaboration (OAuth app)."
    kind = ApplicationType.WEBHOOK
    base_url = "https://api.github.com"
    headers = _HEADERS
    authentication = OAuth2(
        authorize_url="https://github.com/login/oauth/authorize",
        token_url="https://github.com/login/oauth/access_token",  # noqa: S106 - an address
        scopes=("repo", "admin:repo_hook"),
    )
    forms = (_Client,)
