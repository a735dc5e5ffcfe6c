"""A stand-in of the platform's backend: what it asks services when people use the editor and the marketplace."""

import re
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from aiohttp import web

from support.services import served

ANSWER_SECONDS: Final = 30
KINDS: Final = ("connector", "custom-node", "batch")
READ_IN_THE_MARKETPLACE: Final = ("key", "name", "description", "logo", "isInstallable")
READ_OF_AN_INSTALL: Final = ("key", "enabled", "authorized")
NOBODY: Final = "orchesty"
"""Whose webhooks are subscribed where no user is named."""


class Failed(Exception):
    """A service did not answer as the backend needs it."""


class Backend:
    """Calls services that are registered by name and URL. It sends no key.

    `names_services` is the way of 3.0: paths and bodies have the name of the service. Else it is that of 4.3.6.
    """

    def __init__(self, *, names_services: bool) -> None:
        self.services: dict[str, str] = {}
        self.url = ""
        self._names_services = names_services

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Backend"]:
        """Serve the callback of logins on loopback."""
        application = web.Application()
        application.router.add_get("/api/applications/authorize/token", self._logged_in)
        timeout = httpx.Timeout(ANSWER_SECONDS)
        async with served(application) as self.url, httpx.AsyncClient(timeout=timeout, trust_env=False) as self._http:
            yield self

    def register(self, sdk: str, url: str) -> None:
        """Register a service, as a person does in the admin."""
        self.services[sdk] = url

    async def nodes(self, sdk: str) -> Mapping[str, list[Mapping[str, str]]]:
        """Return what the editor offers of a service; any error counts as an empty list."""
        found = {kind: await self._ask(sdk, "GET", f"{kind}/list") for kind in KINDS}
        return {kind: reply.json() if reply.is_success else [] for kind, reply in found.items()}

    async def marketplace(self, user: str) -> Mapping[str, Mapping[str, Any]]:
        """Return all installable applications with the user's installs, each key read unguarded."""
        shown: dict[str, Mapping[str, Any]] = {}
        for sdk in self.services:
            offered = (await self._ask(sdk, "GET", "applications")).json()["items"]
            installs = (await self._ask(sdk, "GET", f"applications/users/{user}{self._of(sdk)}")).json()["items"]
            own = {one["key"]: {name: one[name] for name in READ_OF_AN_INSTALL} for one in installs}
            read = [{name: one[name] for name in READ_IN_THE_MARKETPLACE} for one in offered]
            shown |= {one["key"]: one | own.get(one["key"], {}) for one in read if one["isInstallable"]}
        return shown

    async def detail(self, sdk: str, key: str, user: str) -> Mapping[str, Any]:
        """Return the page of an install."""
        found: Mapping[str, Any] = (await self._done(sdk, "GET", self._own(sdk, key, user))).json()
        return found

    async def install(self, sdk: str, key: str, user: str) -> None:
        """Install, then call for the hook."""
        await self._done(sdk, "POST", f"{self._own(sdk, key, user)}/install", status=201)
        await self._hook(sdk, key, user, "afterInstallCallback")

    async def save(self, sdk: str, key: str, user: str, **typed: str) -> bool:
        """Save a tab as the editor does, with every field as text; return whether the install is authorized.

        The reply of 4.3.6 does not say so.
        """
        forms = (await self.detail(sdk, key, user))["applicationSettings"]
        shown = {field["key"]: _as_text(field["value"]) for field in forms["authorization_form"]["fields"]}
        sent = {"authorization_form": shown | typed}
        reply = await self._done(sdk, "PUT", f"{self._own(sdk, key, user)}/settings", sent)
        read = reply.json() if self._names_services else await self.detail(sdk, key, user)
        return bool(read["authorized"])

    async def switch(self, sdk: str, key: str, user: str, *, enabled: bool) -> None:
        """Switch an install on or off, then call for the hook."""
        await self._done(sdk, "PUT", f"{self._own(sdk, key, user)}/changeState", {"enabled": enabled})
        await self._hook(sdk, key, user, "afterEnableCallback" if enabled else "afterDisableCallback")

    async def uninstall(self, sdk: str, key: str, user: str) -> None:
        """Switch off, delete, and call for the hook; a hook that fails before it keeps the install."""
        await self.switch(sdk, key, user, enabled=False)
        await self._done(sdk, "DELETE", f"{self._own(sdk, key, user)}/uninstall")
        await self._hook(sdk, key, user, "afterUninstallCallback")

    async def authorize_url(self, sdk: str, key: str, user: str, page: str) -> str:
        """Return where a person logs in; the page to come back to is not escaped."""
        back = f"{page}?sdk={sdk}" if self._names_services else page
        reply = await self._done(sdk, "GET", f"{self._own(sdk, key, user)}/authorize?redirect_url={back}")
        return str(reply.json()["authorizeUrl"])

    async def events(self, sdk: str, key: str) -> list[Mapping[str, Any]]:
        """Return what the editor's picker of webhooks offers."""
        reply = await self._ask(sdk, "GET", f"applications/{key}/sync/listWebhookEvents?user=system&sdk={sdk}")
        return reply.json() if reply.status_code == httpx.codes.OK else []

    async def subscribe(self, sdk: str, key: str, user: str, **asked: Any) -> None:
        """Subscribe for an event, as a topology with it is switched on."""
        await self._done(sdk, "POST", f"webhook/{self._own(sdk, key, user)}/subscribe", asked)

    async def unsubscribe(self, sdk: str, key: str, user: str, **asked: Any) -> None:
        """Unsubscribe, as the topology is switched off."""
        await self._done(sdk, "POST", f"webhook/{self._own(sdk, key, user)}/unsubscribe", asked)

    async def _logged_in(self, request: web.Request) -> web.Response:
        """Take the state apart, and pass the whole query on, joined without escapes."""
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        user, key, *rest = _taken_apart(request.query["state"])
        sdk = rest[0] if self._names_services else next(iter(self.services))
        own = self._own(sdk, key, user) if self._names_services else "applications"
        reply = await self._done(sdk, "GET", f"{own}/authorize/token?{query}")
        raise web.HTTPFound(reply.json()["redirectUrl"])

    async def _hook(self, sdk: str, key: str, user: str, method: str) -> None:
        said = {"user": user, "name": key} | ({"sdk": sdk} if self._names_services else {})
        reply = await self._ask(sdk, "POST", f"applications/{key}/sync/{method}", said)
        if reply.status_code not in {200, 201}:
            raise Failed(f"{method} answered {reply.status_code}: {reply.text}")
        reply.json()

    async def _done(self, sdk: str, method: str, path: str, body: Any = None, *, status: int = 200) -> httpx.Response:
        reply = await self._ask(sdk, method, path, body)
        if reply.status_code != status:
            raise Failed(f"{method} {path} answered {reply.status_code}: {reply.text}")
        return reply

    async def _ask(self, sdk: str, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self._http.request(method, f"{self.services[sdk]}/{path}", json=body)

    def _own(self, sdk: str, key: str, user: str) -> str:
        return f"applications/{key}/users/{user}{self._of(sdk)}"

    def _of(self, sdk: str) -> str:
        return f"/sdk/{sdk}" if self._names_services else ""


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _taken_apart(state: str) -> list[str]:
    """Return the parts of a state; base64url without any other character."""
    if not re.fullmatch("[A-Za-z0-9_-]+", state):
        raise Failed(f"the state {state!r} is no base64url")
    return urlsafe_b64decode(state + "=" * (-len(state) % 4)).decode().split(":")
