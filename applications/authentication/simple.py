"""Ways to sign requests with what the user has filled in."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from applications.authentication.base import Authentication, Settings
from applications.http.request import Auth, Credentials, Request
from applications.http.response import Head
from applications.templates import fill, placeholders


@dataclass(frozen=True, slots=True)
class NoAuthentication(Authentication):
    """The service asks nobody who they are."""

    def auth(self, settings: Settings) -> Auth | None:
        """Return None."""
        return None


@dataclass(frozen=True, slots=True)
class Basic(Authentication):
    """User name and password (RFC 7617)."""

    user: str = "{user}"
    password: str = "{password}"  # noqa: S105 - the name of a setting

    @property
    def needs(self) -> Sequence[str]:
        """The settings in both."""
        return placeholders(self.user + self.password)

    def auth(self, settings: Settings) -> Auth:
        """Return what adds the header."""
        pair = f"{fill(self.user, settings)}:{fill(self.password, settings)}"
        return _Given(Credentials({"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}))


@dataclass(frozen=True, slots=True)
class ApiKey(Authentication):
    """A key in a header, or in the query."""

    value: str = "{token}"
    header: str = ""
    query: str = ""

    def __post_init__(self) -> None:
        """Check that there is one place for the key. Raises `ValueError`."""
        if bool(self.header) == bool(self.query):
            raise ValueError("an API key goes either into a header or into the query: name one of them")

    @property
    def needs(self) -> Sequence[str]:
        """The settings in the key."""
        return placeholders(self.value)

    def auth(self, settings: Settings) -> Auth:
        """Return what adds the key."""
        value = fill(self.value, settings)
        return _Given(Credentials({self.header: value}) if self.header else Credentials(query={self.query: value}))


@dataclass(frozen=True, slots=True)
class Bearer(Authentication):
    """A token that the user has got from the service and filled in (RFC 6750)."""

    token: str = "{token}"  # noqa: S105 - the name of a setting
    prefix: str = "Bearer"

    @property
    def needs(self) -> Sequence[str]:
        """The settings in the token."""
        return placeholders(self.token)

    def auth(self, settings: Settings) -> Auth:
        """Return what adds the header."""
        return _Given(Credentials({"Authorization": f"{self.prefix} {fill(self.token, settings)}".strip()}))


class _Given(Auth):
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def sign(self, request: Request) -> AsyncGenerator[Credentials, Head]:
        """Yield the same for each request."""
        yield self._credentials
