"""Logins at a service (OAuth 2, authorization code): off to it, and back.

The `state` that travels with the browser is sealed, ends after ten minutes and works once; the PKCE verifier stays
here.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete

from applications.application import Application
from applications.authentication import Call, OAuth2
from applications.crypt import Keyring
from applications.database import Database, now_ms
from applications.errors import CannotDecrypt, KeyMissing, LoginForged, LoginRefused, NotInstalled, SettingsMissing
from applications.installs import Installs
from applications.tables import logins

SECONDS: Final = 600
"""How long a person may take for the login."""
_STATE, _LOGIN = "login-state", "login"


@dataclass(frozen=True, slots=True)
class Callback:
    """What the state of a genuine callback says."""

    user: str
    application: str
    code: str
    redirect_uri: str
    verifier: str


class Logins:
    """Sends people to a service and takes them back."""

    def __init__(self, database: Database, installs: Installs, call: Call) -> None:
        self._database = database
        self._installs = installs
        self._call = call

    @property
    def _keyring(self) -> Keyring:
        return self._installs.keyring

    async def start(self, application: type[Application], user: str, redirect_uri: str) -> str:
        """Return the URL where the user logs in.

        Raises `NotInstalled`, `SettingsMissing`, or `LoginRefused` for an application without logins.
        """
        way, settings = await self._prepared(application, user)
        login, verifier, ends = secrets.token_urlsafe(16), secrets.token_urlsafe(48), now_ms() + SECONDS * 1000
        state = {"id": login, "user": user, "application": application.key, "ends": ends}
        kept = self._keyring.seal(json.dumps([redirect_uri, verifier]).encode(), _LOGIN, login)
        async with self._database.transaction() as connection:
            await connection.execute(delete(logins).where(logins.c.expires < now_ms()))
            await connection.execute(logins.insert().values(id=login, sealed=kept, expires=ends))
        sealed = self._keyring.seal(json.dumps(state).encode(), _STATE)
        return way.authorize_at(settings, redirect_uri=redirect_uri, state=sealed, verifier=verifier)

    async def read(self, query: Mapping[str, str], user: str | None = None) -> Callback:
        """Check a callback; its state is used up by that, whatever comes of it.

        Raises `LoginRefused` for a state that is forged, too late, used before or another user's, and for a login that
        the service or the person refused.
        """
        state = self._opened(query.get("state", ""))
        kept = await self._taken(str(state["id"]))
        if kept is None:
            raise LoginForged("this login was finished before, or never begun here: start it again")
        if state["ends"] < now_ms():
            raise LoginRefused(f"the login took longer than {SECONDS // 60} minutes: start it again")
        if user is not None and state["user"] != user:
            raise LoginRefused(f"this login was begun for user {state['user']!r}, not for {user!r}")
        if "error" in query:
            text = f"{query['error']}: {query.get('error_description', '')}".rstrip(": ")
            raise LoginRefused(f"the service says {text[:200]}")
        if not query.get("code"):
            raise LoginRefused("the service sent no code: start the login again")
        redirect_uri, verifier = json.loads(self._keyring.open(kept, _LOGIN, str(state["id"])))
        return Callback(str(state["user"]), str(state["application"]), query["code"], redirect_uri, verifier)

    async def finish(self, application: type[Application], callback: Callback) -> None:
        """Exchange the code and save the token. Raises `LoginDead` or `TokenEndpointAway` of the exchange."""
        if callback.application != application.key:
            raise LoginRefused(f"this login was begun for {callback.application}, not for {application.key}")
        way, settings = await self._prepared(application, callback.user)
        token = await way.exchange_code(
            settings, callback.code, redirect_uri=callback.redirect_uri, verifier=callback.verifier, call=self._call
        )
        fence = await self._installs.next_fence(callback.user, application.key)
        if fence is None:
            raise NotInstalled(application.key, callback.user)
        sealed = self._installs.seal_token(callback.user, application.key, token)
        await self._installs.save_token(callback.user, application.key, fence, sealed, token.expires)

    async def _prepared(self, application: type[Application], user: str) -> tuple[OAuth2, dict[str, str]]:
        way = application.authentication
        if not isinstance(way, OAuth2) or not way.is_login:
            raise LoginRefused(f"{application.key} has no login: fill in its settings instead")
        install = await self._installs.get(user, application.key)
        if install is None:
            raise NotInstalled(application.key, user)
        settings = self._installs.settings(install)
        if lacking := application.missing(settings):
            raise SettingsMissing(application.key, user, lacking)
        return way, application.text_settings(settings, install.plain)

    def _opened(self, state: str) -> dict[str, Any]:
        try:
            opened: dict[str, Any] = json.loads(self._keyring.open(state, _STATE))
        except (CannotDecrypt, KeyMissing):
            raise LoginForged("the state of this login is missing, or not of our making") from None
        return opened

    async def _taken(self, login: str) -> str | None:
        """Take the login out of the database: only one caller gets it."""
        async with self._database.transaction() as connection:
            done = delete(logins).where(logins.c.id == login).returning(logins.c.sealed)
            return (await connection.execute(done)).scalar_one_or_none()
