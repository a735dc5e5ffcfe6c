"""What a call to a service needs of an application's install."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from applications.http.request import Auth
from applications.limit import Limit


class Sealer(Protocol):
    """Seals texts about one install, each always to the same."""

    def seal(self, text: str) -> str:
        """Return what nobody can read without the key."""

    def open(self, sealed: str) -> str:
        """Return the text. Raises `SecretsError`."""


@dataclass(frozen=True, slots=True)
class Access:
    """The way to a service for one user."""

    base_url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: Auth | None = field(default=None, repr=False)
    """Signs each request; None where the headers are enough."""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values of the install's forms, for services that want them elsewhere than in a header, such as in a body."""
    secrets: Collection[str] = field(default=(), repr=False)
    """What must not be shown: values of secret fields, and tokens, those that renewals bring among them."""
    is_from_install: bool = False
    """Whether the base URL has values of the user's in it, which must not lead to internal addresses."""
    limit: Limit | None = None
    """The user's: that of the limiter form, else the application's."""
    sealer: Sealer | None = None
    """For what services name and nobody should read; None where there is no key."""


def always(access: Access) -> Callable[[], Awaitable[Access]]:
    """Return what a `Client` finds this way by."""

    async def find() -> Access:
        return access

    return find
