"""Synchronous methods of applications: what the platform's pages ask, and the hooks after changes of installs."""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from applications import Application
from applications.errors import ApplicationError
from applications.http.client import Client
from applications.http.wire import Wire
from applications.own_code import called
from applications.redaction import redact
from applications.sync_call import SyncCall, TextReply
from connectors.message import json_text
from worker.accounts.opening import without_installs
from worker.actions.errors import describe
from worker.service.applications import Known, found_in
from worker.service.errors import Refused
from worker.service.failures import told
from worker.service.http import Reply, Request, json_reply
from worker.service.routing import ANY, Places, Route
from worker.service.shapes import sync_names
from worker.service.webhooks import NOBODY, WebhookRoutes, read_asked

if TYPE_CHECKING:
    from applications.accounts import Accounts

log = structlog.get_logger()

SECONDS: Final = 25.0
HOOKS: Final = {
    "afterInstallCallback": "after_install",
    "afterUninstallCallback": "after_uninstall",
    "afterEnableCallback": "after_enable",
    "afterDisableCallback": "after_disable",
}
"""The methods of applications that are run for them."""
EVENTS: Final = "listWebhookEvents"


class SyncRoutes:
    """Calls methods of applications."""

    def __init__(self, known: Known, accounts: "Accounts | None", webhooks: WebhookRoutes, wire: Wire) -> None:
        """By `wire` those applications are asked that need no install."""
        self._known = known
        self._subscribing = {"subscribeWebhook": webhooks.subscribe, "unsubscribeWebhook": webhooks.unsubscribe}
        self._accounts = accounts
        self._wire = wire

    def routes(self) -> Iterator[Route]:
        """Return the routes."""
        path = "/applications/{key}/sync"
        yield Route("GET", f"{path}/list", self._list, 1.0, "List the synchronous methods of an application")
        yield Route(ANY, f"{path}/{{method}}", self._call, SECONDS, "Call a synchronous method of an application")

    async def _list(self, request: Request, places: Places) -> Reply:
        return json_reply(sync_names(found_in(self._known, places["key"])))

    async def _call(self, request: Request, places: Places) -> Reply:
        application = found_in(self._known, places["key"])
        given = places["method"]
        name = given[:1].lower() + given[1:]
        methods = application.sync_methods()
        if name in methods:
            return await self._answer(application, methods[name], request)
        if name in HOOKS:
            await self._run(HOOKS[name], application, await request.json())
            return json_reply({"status": "ok"})
        if name in self._subscribing:
            return await self._subscribe(name, application, await request.json())
        if name == EVENTS:
            return json_reply(_events(application))
        method = f"sync{given[:1].upper()}{given[1:]}"
        raise Refused(f"Method [{method}] has not been found in application [{application.key}].")

    async def _answer(self, application: type[Application], method: Any, request: Request) -> Reply:
        body = await request.read()
        query = request.first_parameters
        said = _said(body) | query
        user, sdk = str(said.get("user") or ""), str(said.get("sdk") or "")
        client = self._client(application, user, sdk)
        made = self._accounts.made(application) if self._accounts else application()
        call = SyncCall(
            method=request.method, url=request.url, user=user, sdk=sdk, client=client, query=query,
            headers=request.headers, body=body,
        )  # fmt: skip
        failed: Exception | None = None
        try:
            return _reply(await called(method, made, call))
        except Refused:
            raise
        except Exception as error:  # the application's own code may raise anything
            failed = error
        secrets = await _secrets(client)
        log.warning("sync_method_failed", application=application.key, reason=redact(describe(failed), secrets))
        raise Refused(redact(told(failed), secrets))

    def _client(self, application: type[Application], user: str, sdk: str) -> Client:
        if self._accounts is not None:
            return self._accounts.later_client(application, user, sdk)
        return Client(self._wire, partial(without_installs, application, user), application.key)

    async def _run(self, hook: str, application: type[Application], sent: Any) -> None:
        """Run a hook for a change that was made before; that after the end of an install was run with it."""
        if sent is None:
            raise Refused("the body must say of which install: {user, name, sdk}")
        said = sent if isinstance(sent, dict) else {}
        is_there = getattr(application, hook) is not getattr(Application, hook)
        if hook == HOOKS["afterUninstallCallback"] or not is_there or self._accounts is None:
            return
        from applications.lifecycle import Hook, Lifecycle  # noqa: PLC0415 - it loads what only installs need

        user, sdk = str(said.get("user") or ""), str(said.get("sdk") or "")
        install = await self._accounts.installs.find(user, application.key, sdk)
        await Lifecycle(self._accounts).run(Hook(hook), application, user, install.sdk if install else sdk)

    async def _subscribe(self, name: str, application: type[Application], sent: Any) -> Reply:
        asked, said = read_asked(sent), sent if isinstance(sent, dict) else {}
        places = {"key": application.key, "user": str(said.get("user") or NOBODY), "sdk": str(said.get("sdk") or "")}
        found = await self._subscribing[name](places, asked)
        return json_reply({"status": "ok", "webhooks": [webhook.remote_id for webhook in found]})


def _events(application: type[Application]) -> list[Mapping[str, Any]]:
    return [
        {"name": event.name, "parameters": list(event.parameters), "description": event.description}
        for event in application.webhooks
    ]


def _reply(result: object) -> Reply:
    if isinstance(result, TextReply):
        is_complete = "charset" in result.content_type
        kind = result.content_type if is_complete else f"{result.content_type}; charset=utf-8"
        return Reply(200, result.text.encode(errors="backslashreplace"), kind)
    return Reply(200, json_text({"status": "ok"} if result is None else result).encode())


def _said(body: bytes) -> dict[str, Any]:
    """Return what a JSON body says; nothing for any other."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


async def _secrets(client: Client) -> Collection[str]:
    try:
        return (await client.access()).secrets
    except ApplicationError:  # then the method had none of them either
        return ()
