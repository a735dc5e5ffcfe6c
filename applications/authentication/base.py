"""What all ways to sign requests have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import httpx

from applications.token import Token

Settings = Mapping[str, str]
"""The user's settings as text, by field."""


class Authentication(ABC):
    """How requests to a service say who asks."""

    type: ClassVar[str] = "basic"
    """What the platform calls it: basic, oauth or oauth2."""

    @property
    def needs(self) -> Sequence[str]:
        """The settings without which it cannot sign."""
        return ()

    @abstractmethod
    def auth(self, settings: Settings) -> httpx.Auth | None:
        """Return what signs the requests of one user; None where nothing needs to be signed."""


class Call(Protocol):
    """Asks a token endpoint. Raises `LoginDead` or `TokenEndpointAway`."""

    async def __call__(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
    ) -> Mapping[str, Any]:
        """POST a form or JSON and return the JSON of a good reply; `secrets` are kept out of errors."""


class TokenAuthentication(Authentication):
    """A way with a token that ends, and that the worker renews for all its processes."""

    @property
    def is_login(self) -> bool:
        """Whether a person has to log in before the first token."""
        return False

    def auth(self, settings: Settings) -> httpx.Auth | None:
        """Return None: the token is looked after elsewhere."""
        return None

    @abstractmethod
    async def obtain(self, settings: Settings, token: Token | None, call: Call) -> Token:
        """Return a new token, given the last one. Raises `LoginDead` or `TokenEndpointAway`."""

    @abstractmethod
    def sign(self, request: httpx.Request, token: Token) -> None:
        """Put the token into the request."""
