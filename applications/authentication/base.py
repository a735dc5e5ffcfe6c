"""What all ways to sign requests have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Protocol

from applications.http.request import Auth, Credentials, Request
from applications.http.response import Head
from applications.token import Token
from applications.token_replies import Refusal

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
    def auth(self, settings: Settings) -> Auth | None:
        """Return what signs the requests of one user; None where nothing needs to be signed."""


class TokenCall(Protocol):
    """Asks a token endpoint. Raises `LoginDead` or `TokenEndpointAway`."""

    async def __call__(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        is_dead: Refusal | None = None,
    ) -> Mapping[str, Any]:
        """Send a form, JSON or nothing and return the JSON of a good reply.

        `is_dead` knows in which words this endpoint says that the login is dead, beside those that are known.
        """


class TokenAuthentication(Authentication):
    """A way with a token that ends, and that the worker renews for all its processes."""

    is_renewable: ClassVar[bool] = True
    """Whether there can be a new token without a person."""
    signs_forms: ClassVar[bool] = False
    """Whether a form in the body is signed with the request."""

    @property
    def is_login(self) -> bool:
        """Whether a person has to log in before the first token."""
        return False

    def auth(self, settings: Settings) -> Auth | None:
        """Return None: the token is looked after elsewhere."""
        return None

    @abstractmethod
    async def obtain(self, settings: Settings, token: Token | None, call: TokenCall) -> Token:
        """Return a new token, given the last one. Raises `LoginDead` or `TokenEndpointAway`."""

    @abstractmethod
    def sign(self, request: Request, token: Token, settings: Settings) -> Credentials:
        """Return what the request carries for this token."""

    def refuses_token(self, reply: Head) -> bool:
        """Whether the service refuses the token, as far as status and headers say."""
        return reply.status == HTTPStatus.UNAUTHORIZED


@dataclass(frozen=True, slots=True)
class LoginStarted:
    """A login on its way."""

    url: str
    """Where the person logs in."""
    kept: Mapping[str, str] = field(repr=False)
    """What the end of the login needs; sealed here until then."""


class LoginAuthentication(TokenAuthentication):
    """A way whose first token a person's login brings."""

    @abstractmethod
    async def begin(self, settings: Settings, *, redirect_uri: str, state: str, call: TokenCall) -> LoginStarted:
        """Return where the person logs in; `state` comes back with the browser.

        Raises `LoginRefused`, `LoginDead` or `TokenEndpointAway`.
        """

    @abstractmethod
    async def finish(
        self, settings: Settings, query: Mapping[str, str], kept: Mapping[str, str], call: TokenCall
    ) -> Token:
        """Return the token for what the browser came back with.

        Raises `LoginRefused` when that is a no, or not what was asked for; `LoginDead` or `TokenEndpointAway`.
        """
