"""An install: one user's application, with the user's settings and login, and whether it can be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from applications.application import Application
from applications.authentication import TokenAuthentication
from applications.errors import Disabled, NeedsReconnect, NotInstalled


@dataclass(frozen=True, slots=True)
class Install:
    """One user's application as it is stored. Times are milliseconds since the epoch, 0 for never."""

    user: str
    application: str
    is_enabled: bool
    plain: Mapping[str, Any]
    """Settings that are no secret and no form holds, such as the tenant that a login found."""
    sealed_settings: Mapping[str, Mapping[str, str]] = field(repr=False)
    """By form and field."""
    sealed_token: str | None = field(repr=False)
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
    version: int
    """Counts the changes of the settings."""
    created: int
    updated: int

    @property
    def state(self) -> str:
        """`disabled`, `needs reconnect` or `enabled`."""
        if not self.is_enabled:
            return "disabled"
        return "needs reconnect" if self.problem else "enabled"


def usable(application: type[Application], user: str, install: Install | None) -> Install:
    """Return the install. Raises `NotInstalled`, `Disabled` or `NeedsReconnect`."""
    if install is None:
        raise NotInstalled(application.key, user)
    if not install.is_enabled:
        raise Disabled(application.key, user)
    if install.problem:
        raise needs_reconnect(application, user, install.problem)
    return install


def needs_reconnect(application: type[Application], user: str, reason: str) -> NeedsReconnect:
    """Return the error, with the cure that the application has."""
    way = application.authentication
    is_login = isinstance(way, TokenAuthentication) and way.is_login
    return NeedsReconnect(application.key, user, reason, is_login=is_login)
