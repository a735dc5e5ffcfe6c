"""Logins at a service (OAuth 2 with a code, OAuth 1.0a): off to it, and back.

The `state` that travels with the browser is sealed, ends after ten minutes and works once. The PKCE verifier and the
secret of a request token stay here, sealed.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from applications.application import Application
from applications.authentication import LoginAuthentication, TokenCall
from applications.crypt import Keyring
from applications.errors import (
    CannotDecrypt,
    KeyMissing,
    LoginForged,
    LoginRefused,
    NotInstalled,
    SettingsMissing,
)
from applications.installs import Installs
from applications.redaction import redacted_errors
from applications.store import AccountStore

SECONDS: Final = 600
"""How long a person may take for the login."""
_SECRETS_OF_QUERIES: Final = ("code", "oauth_verifier")
_STATE, _LOGIN = "login-state", "login"


@dataclass(frozen=True, slots=True)
class Callback:
    """A genuine callback: what its state says, what it brings, and what was kept for it."""

    user: str
    application: str
    query: Mapping[str, str] = field(repr=False)
    kept: Mapping[str, str] = field(repr=False)
    sdk: str = ""
    return_to: str = ""
    """Where the person goes then."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    way: LoginAuthentication
    settings: Mapping[str, str]
    secrets: set[str]


class Logins:
    """Sends people to a service and takes them back."""

    def __init__(self, store: AccountStore, installs: Installs, call: TokenCall) -> None:
        self._store = store
        self._installs = installs
        self._call = call

    @property
    def _keyring(self) -> Keyring:
        return self._installs.keyring

    async def start(
        self, application: type[Application], user: str, redirect_uri: str,
        *, sdk: str = "", return_to: str = "", shown_state: Callable[[str], str] = str,
    ) -> str:  # fmt: skip
        """Return the URL where the user logs in; the install may be switched off until then.

        `return_to` is kept for the callback. `shown_state` makes of the sealed state what travels with the browser;
        who takes the callback takes it off again.

        Raises `NotInstalled`, `SettingsMissing`, or `LoginRefused` for an application without logins; what
        the service says to a login by OAuth 1.0a is raised as by `finish`.
        """
        prepared = await self._prepared(application, user, sdk)
        login, ends = secrets.token_urlsafe(16), _now_ms() + SECONDS * 1000
        state = {"id": login, "user": user, "application": application.key, "sdk": sdk, "ends": ends}
        sealed = self._keyring.seal(json.dumps(state).encode(), _STATE)
        with redacted_errors(prepared.secrets):
            begun = await prepared.way.begin(
                prepared.settings, redirect_uri=redirect_uri, state=shown_state(sealed), call=self._call
            )
        own = {"way": dict(begun.kept), "return_to": return_to}
        kept = self._keyring.seal(json.dumps(own).encode(), _LOGIN, login)
        await self._store.add_login(login, kept, ends)
        return begun.url

    async def read(self, query: Mapping[str, str], user: str | None = None) -> Callback:
        """Check a callback; its state is used up by that, whatever comes of it.

        Raises `LoginForged` for a state that is forged, used before or another user's, `LoginRefused` when it is late.
        """
        state = self._opened(query.get("state", ""))
        kept = await self._store.take_login(str(state["id"]))
        if kept is None:
            raise LoginForged("this login was finished before, or never begun here: start it again")
        if state["ends"] < _now_ms():
            raise LoginRefused(f"the login took longer than {SECONDS // 60} minutes: start it again")
        if user is not None and state["user"] != user:
            raise LoginForged(f"this login was begun for user {state['user']!r}, not for {user!r}")
        opened = json.loads(self._keyring.open(kept, _LOGIN, str(state["id"])))
        way: Mapping[str, str] = opened.get("way", opened)  # before this version it stood alone
        return Callback(
            str(state["user"]), str(state["application"]), query, way, str(state.get("sdk", "")),
            opened.get("return_to", ""),
        )  # fmt: skip

    async def finish(self, application: type[Application], callback: Callback) -> None:
        """Exchange what the callback brought, and save the token.

        Raises `LoginRefused` when the service or the person has said no, `LoginDead` or `TokenEndpointAway` of the
        exchange, `NotInstalled` when the install is removed meanwhile, and as `start`.
        """
        if callback.application != application.key:
            raise LoginRefused(f"this login was begun for {callback.application}, not for {application.key}")
        prepared = await self._prepared(application, callback.user, callback.sdk)
        brought = {callback.query[name] for name in _SECRETS_OF_QUERIES if name in callback.query}
        with redacted_errors(prepared.secrets | set(callback.kept.values()) | brought):
            token = await prepared.way.finish(prepared.settings, callback.query, callback.kept, self._call)
        if not await self._installs.save_login(callback.user, application.key, token, sdk=callback.sdk):
            raise NotInstalled(application.key, callback.user, callback.sdk)

    async def _prepared(self, application: type[Application], user: str, sdk: str) -> "_Prepared":
        way = application.authentication
        if not isinstance(way, LoginAuthentication) or not way.is_login:
            raise LoginRefused(f"{application.key} has no login: fill in its settings instead")
        install = await self._installs.get(user, application.key, sdk)
        if install is None:
            raise NotInstalled(application.key, user, sdk)
        settings = self._installs.settings(install)
        if lacking := application.missing(settings):
            raise SettingsMissing(application.key, user, lacking, sdk)
        text = application.text_settings(settings, install.plain)
        return _Prepared(way, text, application.secrets(settings))

    def _opened(self, state: str) -> dict[str, Any]:
        try:
            opened: dict[str, Any] = json.loads(self._keyring.open(state, _STATE))
        except (CannotDecrypt, KeyMissing):
            raise LoginForged("the state of this login is missing, or was not issued here") from None
        return opened


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
