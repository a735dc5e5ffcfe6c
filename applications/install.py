"""An install: one user's application, with the user's settings and login, and whether it can be used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from applications.application import Application
from applications.authentication import TokenAuthentication
from applications.errors import Disabled, NeedsReconnect, NotInstalled
from applications.token import Token

TOKEN_PLACE: Final = "token"  # noqa: S105 - the name of a place
"""Where a token stands, beside the fields of forms."""


class Sealed(Protocol):
    """What is secret of an install, as its store keeps it. All but a store's own may have to open it."""

    @property
    def fields(self) -> Mapping[str, Sequence[str]]:
        """The names of the settings, by form. May raise `SecretsError`."""

    @property
    def has_token(self) -> bool:
        """Whether a login has brought a token. May raise `SecretsError`."""

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the settings by form and field, opened. Raises `SecretsError`."""

    def token(self) -> Token | None:
        """Return the token, opened, if there is one. Raises `SecretsError`."""


@dataclass(frozen=True, slots=True)
class Install:
    """One user's application as it is stored. Times are milliseconds since the epoch, 0 for never."""

    user: str
    application: str
    sdk: str
    """The registered name of the service that it is installed in; empty where services are not told apart."""
    is_enabled: bool
    plain: Mapping[str, Any]
    """Settings that are no secret and no form holds, such as the tenant that a login found."""
    sealed: Sealed = field(repr=False)
    """Settings and token."""
    expires: int
    """When the token ends, as far as the service says."""
    problem: str
    """Why the login is dead; empty while it lives."""
    token_fence: int
    """The number of the refresh that brought the token; each later one has a higher number."""
    failures: int
    """Refreshes in a row that found the token endpoint away."""
    retry_at: int
    """No refresh before this."""
    read_at: int
    """When it was read. This and `retry_at` are by the store's clock, which all processes share."""
    version: int
    """Counts the changes of the settings."""
    created: int
    updated: int

    @property
    def place(self) -> tuple[str, ...]:
        """What its secrets are bound to, before form and field."""
        return place_of(self.user, self.application, self.sdk)

    @property
    def state(self) -> str:
        """`disabled`, `needs reconnect` or `enabled`."""
        if not self.is_enabled:
            return "disabled"
        return "needs reconnect" if self.problem else "enabled"


def place_of(user: str, application: str, sdk: str) -> tuple[str, ...]:
    """Return what the secrets of an install are bound to; without `sdk` as before there was one."""
    return ("sdk", sdk, user, application) if sdk else (user, application)


def serving(sdk: str, installs: Iterable[Install]) -> list[Install]:
    """Return those that a message of this service may mean, its own after those that know no services."""
    return sorted((one for one in installs if one.sdk in {sdk, ""}), key=lambda one: one.sdk)


def usable(application: type[Application], user: str, sdk: str, install: Install | None) -> Install:
    """Return the install. Raises `NotInstalled`, `Disabled` or `NeedsReconnect`."""
    if install is None:
        raise NotInstalled(application.key, user, sdk)
    if not install.is_enabled:
        raise Disabled(application.key, user, install.sdk)
    if install.problem:
        raise needs_reconnect(application, install, install.problem)
    return install


def needs_reconnect(application: type[Application], install: Install, reason: str) -> NeedsReconnect:
    """Return the error, with the cure that the application has."""
    way = application.authentication
    is_login = isinstance(way, TokenAuthentication) and way.is_login
    return NeedsReconnect(application.key, install.user, reason, is_login=is_login, sdk=install.sdk)
