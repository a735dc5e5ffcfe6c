"""The marketplace: applications, and the installs of users."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from applications import Application
from applications.errors import KeyMissing, NotInstalled, SecretsError
from applications.forms import Values
from applications.install import Install, serving
from worker.actions.errors import describe
from worker.service.errors import Refused, UnknownService
from worker.service.http import Reply, Request, json_reply
from worker.service.routing import Places, Route
from worker.service.sent_settings import as_typed, names_others
from worker.service.shapes import application_facts, custom_actions, forms_of, install_facts, sync_names

if TYPE_CHECKING:
    from applications.accounts import Accounts

log = structlog.get_logger()

LIST_SECONDS = 1.0
SECONDS = 25.0
"""The backend waits 30."""
OF_USER = "/applications/{key}/users/{user}"
Known = Mapping[str, type[Application]]
ShownEvents = Callable[[type[Application], str], Awaitable[list[Mapping[str, Any]]]]
"""Returns the events of an application's service, with those that a user is subscribed to."""


def found_in(known: Known, key: str) -> type[Application]:
    """Return the application. Raises `UnknownService`."""
    if key not in known:
        raise UnknownService("application", key)
    return known[key]


def needed(accounts: "Accounts | None") -> "Accounts":
    """Return the accounts. Raises `KeyMissing` where there are none."""
    if accounts is None:
        raise KeyMissing("this service keeps no installs: it has no key for their secrets; set WORKER_SECRET_KEYS")
    return accounts


class ApplicationRoutes:
    """Answers for the applications of this process and the installs of users."""

    def __init__(self, known: Known, accounts: "Accounts | None", redirect_uri: str, events: ShownEvents) -> None:
        """`redirect_uri` is where services send people back to after a login; `events` are those of webhooks."""
        self._known = known
        self._accounts = accounts
        self._redirect_uri = redirect_uri
        self._events = events

    def routes(self) -> Iterator[Route]:
        """Return the routes, those of installs with and without the name of a service."""
        yield Route("GET", "/applications", self._list, LIST_SECONDS, "List the applications")
        for sdk in ("/sdk/{sdk}", ""):
            own = f"{OF_USER}{sdk}"
            yield Route("GET", f"/applications/users/{{user}}{sdk}", self._of_user, SECONDS, "List a user's installs")
            yield Route("POST", f"{own}/install", self._install, SECONDS, "Install an application")
            yield Route("PUT", f"{own}/settings", self._save, SECONDS, "Save the settings of an install")
            yield Route("PUT", f"{own}/password", self._save_password, SECONDS, "Save one secret of an install")
            yield Route("PUT", f"{own}/changeState", self._switch, SECONDS, "Switch an install on or off")
            yield Route("DELETE", f"{own}/uninstall", self._uninstall, SECONDS, "Delete an install")
            yield Route("GET", own, self._detail, SECONDS, "Show an install")
        yield Route("GET", "/applications/{key}", self._show, LIST_SECONDS, "Show an application")

    async def _list(self, request: Request, places: Places) -> Reply:
        found = sorted(self._known.values(), key=lambda application: application.public_name().lower())
        return json_reply({"items": [application_facts(application) for application in found]})

    async def _show(self, request: Request, places: Places) -> Reply:
        application = found_in(self._known, places["key"])
        return json_reply(application_facts(application) | {"syncMethods": sync_names(application)})

    async def _of_user(self, request: Request, places: Places) -> Reply:
        accounts = needed(self._accounts)
        found = await accounts.installs.list(places["user"])
        if places.sdk:
            found = list({install.application: install for install in serving(places.sdk, found)}.values())
        return json_reply({"items": [self._item(accounts, install) for install in found]})

    def _item(self, accounts: "Accounts", install: Install) -> Mapping[str, Any]:
        """Return an install in a list; one whose secrets cannot be read does not take the list with it."""
        application = self._known.get(install.application)
        try:
            can_call = application is not None and is_authorized(accounts, application, install)
        except SecretsError as error:
            log.warning("install_unreadable", application=install.application, userId=install.user, cause=str(error))
            can_call = False
        return install_facts(install) | {"authorized": can_call}

    async def _detail(self, request: Request, places: Places) -> Reply:
        accounts, application, install = await self._found(places)
        settings = accounts.installs.settings(install)
        return json_reply(
            application_facts(application)
            | {
                "authorized": is_authorized(accounts, application, install),
                "enabled": install.is_enabled,
                "applicationSettings": await self._forms(accounts, application, install, settings),
                "webhookSettings": await self._events(application, install.user),
                "customActions": custom_actions(application.custom_actions),
            }
        )

    async def _install(self, request: Request, places: Places) -> Reply:
        accounts, user = needed(self._accounts), places["user"]
        application = found_in(self._known, places["key"])
        if not await accounts.installs.add(user, application.key, places.sdk, is_enabled=False):
            before = await accounts.installs.get(user, application.key, places.sdk)
            if before is not None and before.is_enabled:
                raise Refused(f"ApplicationInstall with user [{user}] and name [{application.key}] already exists !")
        _, _, install = await self._found(places)
        forms = await self._forms(accounts, application, install, accounts.installs.settings(install))
        can_call = is_authorized(accounts, application, install)
        return json_reply(application_facts(application) | {"authorized": can_call, "applicationSettings": forms}, 201)

    async def _save(self, request: Request, places: Places) -> Reply:
        sent = await request.json()
        found_in(self._known, places["key"])
        accounts, application, install = await self._found(places)
        facts = application.form_facts()
        if names_others(facts, sent):
            facts = application.form_facts(await accounts.shown_choices(application, install))
        return await self._saved(accounts, application, install, as_typed(facts, sent), places)

    async def _save_password(self, request: Request, places: Places) -> Reply:
        sent = await request.json()
        names = ("password", "formKey", "fieldKey")
        if not isinstance(sent, dict) or not all(sent.get(name) for name in names):
            raise Refused(f"Missing required parameters [{', '.join(names)}] in body.")
        found_in(self._known, places["key"])
        accounts, application, install = await self._found(places)
        given = {str(sent["formKey"]): {str(sent["fieldKey"]): sent["password"]}}
        return await self._saved(accounts, application, install, given, places)

    async def _saved(
        self, accounts: "Accounts", application: type[Application], install: Install, given: Values, places: Places
    ) -> Reply:
        await accounts.save(install.user, application, given, sdk=install.sdk)
        _, _, install = await self._found(places)
        forms = await self._forms(accounts, application, install, accounts.installs.settings(install))
        shown = install_facts(install) | {"applicationSettings": forms}
        if places.sdk:
            shown |= {"authorized": is_authorized(accounts, application, install)}
        return json_reply(shown)

    async def _switch(self, request: Request, places: Places) -> Reply:
        """Save the state; the platform calls for the hook by itself, as it does after an install."""
        sent = await request.json()
        if sent is None:
            raise Refused('the body must say whether the install is switched on: {"enabled": true}')
        accounts, install = await _install_at(self._accounts, places)
        if isinstance(sent, dict) and "enabled" in sent:
            is_enabled = str(sent["enabled"]).lower() not in {"false", "0", "", "none", "no"}
            await accounts.installs.enable(install.user, install.application, install.sdk, is_enabled=is_enabled)
            accounts.forget(install.user, install.application, install.sdk)
        return json_reply({})

    async def _uninstall(self, request: Request, places: Places) -> Reply:
        """Delete, and run the hook at once: when the platform calls for it, nothing of the install is left.

        An application that this service no longer has leaves its installs behind; they can go without it.
        """
        from applications.lifecycle import Lifecycle  # noqa: PLC0415 - it loads what only installs need

        accounts, install = await _install_at(self._accounts, places)
        if application := self._known.get(install.application):
            await Lifecycle(accounts).uninstall(application, install.user, install.sdk)
        else:
            await accounts.installs.remove(install.user, install.application, install.sdk)
        return json_reply({})

    async def _forms(
        self, accounts: "Accounts", application: type[Application], install: Install, settings: Values
    ) -> Mapping[str, Any]:
        try:
            choices = await accounts.shown_choices(application, install)
        except Exception as error:  # the application's own code may raise anything; the form is shown without
            log.warning("choices_unknown", application=application.key, userId=install.user, cause=str(error))
            choices = {}
        return forms_of(application, application.form_facts(choices), settings, self._redirect_uri)

    async def _found(self, places: Places) -> tuple["Accounts", type[Application], Install]:
        return await found_install(self._known, self._accounts, places)


async def found_install(
    known: Known, accounts: "Accounts | None", places: Mapping[str, str]
) -> tuple["Accounts", type[Application], Install]:
    """Return the install that a path names. Raises `UnknownService`, `KeyMissing` or `NotInstalled`."""
    found, install = await _install_at(accounts, places)
    return found, found_in(known, install.application), install


async def _install_at(accounts: "Accounts | None", places: Mapping[str, str]) -> tuple["Accounts", Install]:
    key, user, sdk = places["key"], places["user"], places.get("sdk", "")
    found = needed(accounts)
    install = await found.installs.find(user, key, sdk)
    if install is None:
        raise NotInstalled(key, user, sdk)
    return found, install


def is_authorized(accounts: "Accounts", application: type[Application], install: Install) -> bool:
    """Whether calls can be made with the settings and the login of an install. Raises `SecretsError`."""
    has_token, settings = install.sealed.has_token and not install.problem, accounts.installs.settings(install)
    try:
        return application.is_authorized(settings, has_token=has_token)
    except Exception as error:  # the application's own code may raise anything
        log.warning("authorization_unknown", application=application.key, userId=install.user, cause=describe(error))
        return False
