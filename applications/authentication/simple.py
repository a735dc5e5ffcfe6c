"""Ways to sign requests with what the user has filled in."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import httpx

from applications.authentication.base import Authentication, Settings
from applications.templates import fill, names


@dataclass(frozen=True, slots=True)
class NoAuthentication(Authentication):
    """The service asks nobody who they are."""

    def auth(self, settings: Settings) -> httpx.Auth | None:
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
        return names(self.user + self.password)

    def auth(self, settings: Settings) -> httpx.Auth:
        """Return httpx's own."""
        return httpx.BasicAuth(fill(self.user, settings), fill(self.password, settings))


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
        return names(self.value)

    def auth(self, settings: Settings) -> httpx.Auth:
        """Return what adds the key."""
        return _Added(self.header, self.query, fill(self.value, settings))


@dataclass(frozen=True, slots=True)
class Bearer(Authentication):
    """A token that the user has got from the service and filled in (RFC 6750)."""

    token: str = "{token}"  # noqa: S105 - the name of a setting
    prefix: str = "Bearer"

    @property
    def needs(self) -> Sequence[str]:
        """The settings in the token."""
        return names(self.token)

    def auth(self, settings: Settings) -> httpx.Auth:
        """Return what adds the header."""
        return _Added("Authorization", "", f"{self.prefix} {fill(self.token, settings)}".strip())


class _Added(httpx.Auth):
    def __init__(self, header: str, query: str, value: str) -> None:
        self._header, self._query, self._value = header, query, value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add it."""
        if self._header:
            request.headers[self._header] = self._value
        else:
            request.url = request.url.copy_merge_params({self._query: self._value})
        yield request
