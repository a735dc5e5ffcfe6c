"""The way to a service for one user: what connectors ask for before each call."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from applications.access import Access, always
from applications.application import Application
from applications.authentication import TokenAuthentication
from applications.authentication.oauth1 import is_form
from applications.crypt import Keyring, PlaceSealer
from applications.errors import (
    ApplicationError,
    LoginRefused,
    NotAuthorized,
    NotInstalled,
    NotReady,
    ServiceAway,
    ServiceRefused,
    SettingsMissing,
    TryLater,
)
from applications.forms import AtRunTime, Values, chooses, save
from applications.http.client import Client
from applications.http.errors import ReplyUnreadable
from applications.http.request import Auth, Credentials, Request
from applications.http.response import Head
from applications.http.route import Route
from applications.http.transport import Transport
from applications.http.wire import Wire
from applications.install import Install, usable
from applications.installs import Installs
from applications.journal import Journal
from applications.logins import Callback, Logins
from applications.own_code import called
from applications.recent import Recent
from applications.starting import StartTopology, start_nothing
from applications.store import AccountStore
from applications.templates import fill, fill_url
from applications.token import Token
from applications.token_endpoint import TokenEndpoint
from applications.tokens import Tokens
from applications.user_installs import UserInstalls

MOST_READ: Final = 10_000
"""Installs in memory."""
FRESH_SECONDS: Final = 2.0
"""How long an install is used as it was read: so long a switched off one may still be called."""


@dataclass(frozen=True, slots=True)
class _Read:
    access: Access
    sdk: str
    at: float


class Accounts:
    """The users' accounts at services. One for a process; `close` it at the end."""

    def __init__(
        self, store: AccountStore, keyring: Keyring, journal: Path, *, token_transport: Transport | None = None
    ) -> None:
        """`journal` is a directory of this machine for tokens on their way into the store, which `close` closes.

        A `token_transport` takes the place of the network on the way to token endpoints.
        """
        self._store = store
        self._endpoint = TokenEndpoint(token_transport)
        self._wire = Wire()
        self.installs = Installs(store, keyring)
        self.tokens = Tokens(self.installs, Journal(journal), self._endpoint)
        self.logins = Logins(store, self.installs, self._endpoint)
        self.applications: Mapping[str, type[Application]] = {}
        """Those that the process knows, by key."""
        self._start_topology: StartTopology = start_nothing
        self._read: Recent[tuple[str, str, str], _Read] = Recent(MOST_READ)

    def join(self, applications: Mapping[str, type[Application]], start_topology: StartTopology) -> None:
        """Belong to a process that knows these applications, and whose methods start topologies by this."""
        self.applications, self._start_topology = applications, start_topology

    def made(self, application: type[Application]) -> Application:
        """Return the application, ready for any of its methods."""
        own = application()
        own.start_topology, own.installs = self._start_topology, UserInstalls(self)
        return own

    def take(self, route: Route) -> None:
        """Reach services and token endpoints by this route."""
        self._wire.route = route
        self._endpoint.take(route)

    async def access(self, application: type[Application], user: str, sdk: str = "") -> Access:
        """Return the way to the service, by the install that the user has in the service `sdk`, else in none.

        Raises `NotReady`, `TryLater` or `SecretsError`.
        """
        if not application.needs_install():
            return Access(application.base_url, application.headers, limit=application.limit)
        key = (user, application.key, sdk)
        read = self._read.get(key)
        if read is None or time.monotonic() - read.at > FRESH_SECONDS:
            read = await self._opened(application, user, sdk)
            self._read.put(key, read)
        if isinstance(application.authentication, TokenAuthentication):
            await self.tokens.get(application, user, sdk=read.sdk)  # here a missing or dead login is a clear error
        return read.access

    async def _opened(self, application: type[Application], user: str, sdk: str) -> _Read:
        install = await self.installs.find(user, application.key, sdk) if user else None
        if install and install.problem:  # what heals it may lie in the journal of this machine
            await self.tokens.recover(user, application.key, install.sdk)
            install = await self.installs.get(user, application.key, install.sdk)
        if install:
            self.tokens.compare(install)
        found = usable(application, user, sdk, install)
        access = self._access(application, found, self.installs.settings(found))
        return _Read(access, found.sdk, time.monotonic())

    def _access(self, application: type[Application], install: Install, settings: Values) -> Access:
        if lacking := application.missing(settings):
            raise SettingsMissing(application.key, install.user, lacking, install.sdk)
        way = application.authentication
        is_login = isinstance(way, TokenAuthentication) and way.is_login
        if is_login and not install.sealed.has_token:
            raise NotAuthorized(application.key, install.user, install.sdk)
        text = application.text_settings(settings, install.plain)
        if lacking := application.missing_for_calls(text):
            if is_login:  # a login brings them
                raise NotAuthorized(application.key, install.user, install.sdk)
            raise SettingsMissing(application.key, install.user, lacking, install.sdk)
        auth = way.auth(text)
        secrets = application.secrets(settings)
        if isinstance(way, TokenAuthentication):
            auth = TokenAuth(self.tokens, application, install, text, secrets)
        headers = {name: fill(value, text) for name, value in application.headers.items()}
        base_url, limit = fill_url(application.base_url, text), application.user_limit(settings)
        is_from_install = base_url != application.base_url
        sealer = PlaceSealer(self.installs.keyring, install.place) if self.installs.keyring.key_ids else None
        return Access(base_url, headers, auth, text, secrets, is_from_install, limit, sealer)

    async def save(
        self, user: str, application: type[Application], given: Mapping[str, Mapping[str, Any]], *, sdk: str = ""
    ) -> None:
        """Save settings of a user over those that are there.

        Choices that only the service knows are asked for with the new settings, as far as those suffice for a call.
        Raises `NotInstalled`, `SettingsInvalid` with errors beside the fields, or `TryLater`; nothing is saved then.
        """
        install = await self.installs.get(user, application.key, sdk)
        if install is None:
            raise NotInstalled(application.key, user, sdk)
        stored = self.installs.settings(install)
        asks = application.choices is not Application.choices
        kept = save(application.form_facts(), stored, given, keeps_unknown=asks)
        if asks and chooses(application.form_facts(), given):
            facts = application.form_facts(await self._choices_with(application, install, kept))
            kept = save(facts, stored, given, keeps_unknown=True)
        way = application.authentication
        is_login = isinstance(way, TokenAuthentication) and way.is_login
        await self.installs.save_settings(install, kept, keeps_token=is_login)
        self.forget(user, application.key, sdk)

    async def _choices_with(self, application: type[Application], install: Install, settings: Values) -> AtRunTime:
        """Return the choices as the service tells them to who has these settings; none to who has yet to log in."""
        try:
            access = self._access(application, install, settings)
            return await _asked_for_choices(self.made(application), Client(self._wire, always(access), application.key))
        except NotReady:
            return {}

    async def limits(self, user: str, applications: Iterable[type[Application]], sdk: str = "") -> str:
        """Return the limiter key of the user's enabled installs of these applications, empty without limits."""
        used = tuple(applications)
        found = [await self.installs.find(user, application.key, sdk) for application in used]
        return self.limits_of(filter(None, found), used)

    def limits_of(self, installs: Iterable[Install], applications: Iterable[type[Application]]) -> str:
        """Return the same of installs of one user that are read already. Raises `SecretsError`."""
        enabled = {install.application: install for install in installs if install.is_enabled}
        keys = [
            application.limits(install.user, self.installs.settings(install), install.sdk)
            for application in applications
            if (install := enabled.get(application.key))
        ]
        return ";".join(filter(None, keys))

    async def finish_login(self, application: type[Application], callback: Callback) -> Mapping[str, Any]:
        """Save the token and the settings that the login brings; return those.

        Raises as `Logins.finish`, `LoginRefused` when the service does not say what belongs to the login, and
        `NotInstalled` when the install is removed meanwhile.
        """
        await self.logins.finish(application, callback)
        self.forget(callback.user, application.key, callback.sdk)
        install = await self.installs.get(callback.user, application.key, callback.sdk)
        if install is None:
            raise NotInstalled(application.key, callback.user, callback.sdk)
        try:
            client = self._bare_client(application, install)
            found: Mapping[str, Any] = await called(self.made(application).logged_in, client, callback.query)
        except (ServiceRefused, ServiceAway) as error:
            raise LoginRefused(f"the service did not say what belongs to the login: {error}") from error
        except ApplicationError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise LoginRefused(f"the service did not say what belongs to the login: {reason}") from error
        if found:
            await self.installs.save_plain(install, {**install.plain, **found})
        self.forget(callback.user, application.key, callback.sdk)
        return found

    async def choices(self, application: type[Application], user: str, sdk: str = "") -> AtRunTime:
        """Return the choices that only the service knows."""
        return await _asked_for_choices(self.made(application), await self.client(application, user, sdk))

    async def shown_choices(self, application: type[Application], install: Install) -> AtRunTime:
        """Return the choices to show for an install, whatever its state; none as long as its settings do not suffice.

        Raises `TryLater`, or what the application's own code does.
        """
        if application.choices is Application.choices:
            return {}
        return await self._choices_with(application, install, self.installs.settings(install))

    async def client(self, application: type[Application], user: str, sdk: str = "") -> Client:
        """Return a client that asks the service as the user. Raises as `access`."""
        client = self.later_client(application, user, sdk)
        await client.access()
        return client

    def later_client(self, application: type[Application], user: str, sdk: str = "") -> Client:
        """Return the same; what there is to raise is raised when it is asked."""
        return Client(self._wire, partial(self.access, application, user, sdk), application.key)

    async def kept_client(self, application: type[Application], install: Install) -> Client:
        """Return a client with settings and token of now, which also asks once the install is switched off or gone.

        What it lacks is raised when it is asked.
        """
        try:
            return Client(self._wire, always(await self._kept_access(application, install)), application.key)
        except ApplicationError as error:
            return Client(self._wire, _raising(error), application.key)

    async def _kept_access(self, application: type[Application], install: Install) -> Access:
        access = self._access(application, install, self.installs.settings(install))
        if not isinstance(access.auth, TokenAuth):
            return access
        token = self.installs.token(install)
        try:
            token = await self.tokens.get(application, install.user, sdk=install.sdk)
        except ApplicationError:  # it is off, or cannot be renewed now
            if token is None:
                raise
        return replace(access, auth=access.auth.keeping(token))

    def _bare_client(self, application: type[Application], install: Install) -> Client:
        """As `client`, for a login whose settings are not complete yet."""
        settings = self.installs.settings(install)
        text, secrets = application.text_settings(settings, install.plain), application.secrets(settings)
        auth = TokenAuth(self.tokens, application, install, text, secrets)
        return Client(self._wire, always(Access(auth=auth, secrets=secrets)), application.key)

    def forget(self, user: str, application: str, sdk: str = "") -> None:
        """Read an install from the store the next time."""
        self._read.forget((user, application, sdk))
        self.tokens.forget(user, application, sdk)

    async def close(self) -> None:
        """Let refreshes end, then close the connections."""
        await self.tokens.close()
        await self._endpoint.close()
        await self._wire.close()
        await self._store.close()


def _raising(error: ApplicationError) -> Callable[[], Awaitable[Access]]:
    async def find() -> Access:
        raise error

    return find


async def _asked_for_choices(application: Application, client: Client) -> AtRunTime:
    try:
        found: AtRunTime = await called(application.choices, client)
    except (ServiceRefused, ServiceAway, ReplyUnreadable) as error:
        reason = f"{application.key} did not tell what can be chosen: {type(error).__name__}"
        raise TryLater(reason, timedelta(minutes=1)) from None
    return found


class TokenAuth(Auth):
    """Puts the token into each request; when the service refuses it, once a new one."""

    def __init__(
        self, tokens: Tokens, application: type[Application], install: Install, settings: Mapping[str, str],
        secrets: set[str] | None = None,
    ) -> None:  # fmt: skip
        """The tokens that are used are added to `secrets`."""
        way = application.authentication
        assert isinstance(way, TokenAuthentication), "made for these only"
        self._secrets = set() if secrets is None else secrets
        self._way, self._tokens, self._application, self._install = way, tokens, application, install
        self._settings = settings
        self._kept: Token | None = None

    def keeping(self, token: Token) -> "TokenAuth":
        """Return one that goes on with this token."""
        own = copy(self)
        own._kept = token  # noqa: SLF001 - its own
        own._secrets.update(token.secrets)  # noqa: SLF001 - its own
        return own

    async def token(self) -> Token:
        """Return the user's token. Raises as `Tokens.get`."""
        return await self._token(None)

    def needs_body(self, request: Request) -> bool:
        """Whether there is a form that is signed."""
        return self._way.signs_forms and is_form(request)

    async def sign(self, request: Request) -> AsyncGenerator[Credentials, Head]:
        """Sign with the user's token; after a refusal of it, with a new one. Raises as `Tokens.get`."""
        token = await self._token(None)
        refusal = yield self._way.sign(request, token, self._settings)
        if not self._way.refuses_token(refusal):
            return
        fresh = await self._token(token.access_token)
        if fresh.access_token != token.access_token:
            yield self._way.sign(request, fresh, self._settings)

    async def _token(self, refused: str | None) -> Token:
        if self._kept is not None:
            return self._kept
        token = await self._tokens.get(self._application, self._install.user, refused, sdk=self._install.sdk)
        self._secrets.update(token.secrets)
        return token
