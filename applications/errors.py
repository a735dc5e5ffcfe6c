"""Errors of applications, by what helps.

ApplicationError
├── SettingsInvalid       change the settings; errors stand beside their fields
├── SettingUnusable       change the setting; a service or a way to sign in cannot work with it
├── EgressRefused         a URL leads to an internal address; change it, or allow the address
├── ChangedMeanwhile      read the install again, and make the change to that
├── InstalledAlready      change the install, or remove it first
├── HookFailed            a hook of the application failed, after the change; mend what it says
├── NotReady              a person acts: install, enable, fill in, log in
│   ├── NotInstalled
│   ├── Disabled
│   ├── SettingsMissing
│   ├── NotAuthorized
│   └── NeedsReconnect    the login is dead
├── TryLater              wait `after`, then try again
│   ├── TokenEndpointAway
│   ├── ServiceAway       the service that a method of an application asks does not answer
│   └── InstallsAway      the database of the installs is away, or refuses
├── ServiceRefused        the service answers a method of an application with another status than 2xx
├── LoginRefused          a callback that says no, or comes too late
│   └── LoginForged       a callback that is none of ours, comes twice, or is for another user
├── LoginDead             the service refuses the refresh token or the client
└── SecretsError
    ├── KeyMissing
    └── CannotDecrypt     another key, or a value that was tampered with or swapped
"""

from collections.abc import Mapping
from datetime import timedelta
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from applications.http.response import Response


class ApplicationError(Exception):
    """Root of all errors of applications."""


class SettingsInvalid(ApplicationError):
    """Values of a form are wrong."""

    def __init__(self, errors: Mapping[str, Mapping[str, str]]) -> None:
        self.errors = errors
        """By form and field."""
        lines = [f"{form}.{field}: {text}" for form, fields in errors.items() for field, text in fields.items()]
        super().__init__("; ".join(lines))


class SettingUnusable(ApplicationError):
    """A setting has a value that nothing can be done with."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"the setting {setting} cannot be used: {problem}. See: orchesty-worker installs set --help")


class EgressRefused(ApplicationError):
    """A URL leads to an internal address, and may not."""

    def __init__(self, request: str) -> None:
        super().__init__(
            f"{request} leads to an internal address, where URLs of installs and redirects may not go. If it should, "
            "name its network in WORKER_EGRESS_ALLOW"
        )


class ChangedMeanwhile(ApplicationError):
    """Somebody else saved the same install."""


class InstalledAlready(ApplicationError):
    """The user has the application."""

    def __init__(self, application: str, user: str, sdk: str = "") -> None:
        words = (application, user, *(("--sdk", sdk) if sdk else ()))
        command = f"orchesty-worker installs set {' '.join(map(quote, words))}"
        super().__init__(f"user {user!r} has {application} already; change it with: {command}")


class HookFailed(ApplicationError):
    """A hook of an application failed, after a change of an install that stays."""

    def __init__(self, application: str, user: str, hook: str, reason: str) -> None:
        super().__init__(
            f"the install of {application} for user {user!r} is changed as asked, but {hook} of the application "
            f"failed: {reason}"
        )


class NotReady(ApplicationError):
    """The user's install cannot be used before a person does something; the text names the command."""

    def __init__(self, problem: str, command: str, *arguments: str, sdk: str = "") -> None:
        words = [*arguments, *(("--sdk", sdk) if sdk else ())]
        cure = " ".join(["orchesty-worker installs", command, *map(quote, words)])
        super().__init__(f"{problem}. Cure: {cure}")


class NotInstalled(NotReady):
    """The user has no such application."""

    def __init__(self, application: str, user: str, sdk: str = "") -> None:
        self.application, self.user = application, user
        if not user:
            super().__init__(f"{application} needs a user, and the message has no header `user`", "list")
        else:
            where = f" in the service {sdk!r}" if sdk else ""
            super().__init__(f"user {user!r} has not installed {application}{where}", "add", application, user, sdk=sdk)


class Disabled(NotReady):
    """The user's install is switched off."""

    def __init__(self, application: str, user: str, sdk: str = "") -> None:
        self.application, self.user = application, user
        problem = f"the install of {application} for user {user!r} is disabled"
        super().__init__(problem, "enable", application, user, sdk=sdk)


class SettingsMissing(NotReady):
    """Required settings are not filled in."""

    def __init__(self, application: str, user: str, fields: list[str], sdk: str = "") -> None:
        names = ", ".join(fields)
        given = [f"{field}=..." for field in fields]
        super().__init__(f"{application} of user {user!r} lacks {names}", "set", application, user, *given, sdk=sdk)


class NotAuthorized(NotReady):
    """The user has not logged in yet."""

    def __init__(self, application: str, user: str, sdk: str = "") -> None:
        super().__init__(f"user {user!r} has not logged in to {application}", "authorize", application, user, sdk=sdk)


class NeedsReconnect(NotReady):
    """The login is dead: the service takes neither the token nor its refresh token any more."""

    def __init__(self, application: str, user: str, reason: str, *, is_login: bool, sdk: str = "") -> None:
        problem = f"the login of user {user!r} to {application} needs reconnect ({reason})"
        if is_login:
            super().__init__(problem, "authorize", application, user, sdk=sdk)
        else:
            super().__init__(problem, "set", application, user, "FIELD=VALUE", sdk=sdk)


class TryLater(ApplicationError):
    """Nothing is wrong for good: try again `after` this time."""

    def __init__(self, reason: str, after: timedelta) -> None:
        super().__init__(reason)
        self.after = after


class TokenEndpointAway(TryLater):
    """The token endpoint does not answer, or not with a token."""

    def __init__(self, reason: str, after: timedelta, *, is_refusal: bool = False) -> None:
        super().__init__(reason, after)
        self.is_refusal = is_refusal
        """Whether it has answered, in words that nobody here knows."""


class ServiceAway(TryLater):
    """A service does not answer, or not to the end."""


class ServiceRefused(ApplicationError):
    """A service answered a method of an application with another status than 2xx."""

    def __init__(self, problem: str, response: "Response") -> None:
        super().__init__(problem)
        self.response = response
        """The reply; its body may repeat secrets of the request."""


class InstallsAway(TryLater):
    """The database of the installs is away, or refuses."""


class LoginRefused(ApplicationError):
    """A login that comes to nothing; a new one helps."""


class LoginForged(LoginRefused):
    """A callback whose state was not issued here, was used before, or is that of another user's login."""


class LoginDead(ApplicationError):
    """The service refuses the refresh token, or the client itself."""


class SecretsError(ApplicationError):
    """Something about keys and ciphertexts."""


class KeyMissing(SecretsError):
    """There is no key, or it is none."""


class CannotDecrypt(SecretsError):
    """None of the keys fits, or the value was tampered with or stood elsewhere."""
