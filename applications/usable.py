"""Whether an install can be used, and what a person does when it cannot."""

from applications.application import Application
from applications.authentication import TokenAuthentication
from applications.errors import Disabled, NeedsReconnect, NotInstalled
from applications.install import Install


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
