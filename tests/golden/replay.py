"""Replays recorded cases against a service with the same actions."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import aiohttp
from yarl import URL

from applications.accounts import Accounts
from applications.crypt import Keyring, new_key
from worker.accounts.opening import OpenAccounts, UserAccess
from worker.accounts.platform import PlatformAccounts
from worker.accounts.sql import InstallsDatabase, SqlAccounts
from worker.actions.injection import Injection
from worker.actions.registry import Registry
from worker.app.http_api import serve_http
from worker.documents.cipher import PlatformCipher
from worker.documents.client import DocumentClient
from worker.modes.platform import PlatformStarter
from worker.service.server import answers_of
from worker.service.service import open_service
from worker.settings.settings import Settings, load_settings
from worker.storage.opening import open_storage

from .applications import BasicApp, WebhookApp, applications
from .calling import actions
from .comparing import difference
from .nodes import nodes
from .rules import NOT_OURS, Answered, Case
from .stored import KEY, SECRET, stored
from .target import Target

WEB = "http://127.0.0.1:18082"
"""Where the recorded service called others."""
OF_THE_CONNECTION = frozenset({"host", "content-length", "connection"})


class Health:
    """A service that is always well."""

    is_ready = is_healthy = True

    def describe(self) -> Mapping[str, Any]:
        return {"status": "ok"}

    def metrics(self) -> str:
        return ""


class Replay:
    """Starts a service for each case, which finds what was stored then, and asks it over HTTP."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._web = f"http://127.0.0.1:{target.port}"
        self._asking: dict[str, Case] = {}
        """The last case of each path that asked for documents; those after it may have had them in memory."""

    def _settings(self, case: Case) -> Settings:
        return load_settings(
            app_env=case["worker_env"],
            http_host=f"unix:{self._folder}/service",
            backend_url="http://backend.local/",
            starting_point_dsn=f"{self._web}/sp",
            egress="none",
        )

    @asynccontextmanager
    async def _accounts(self, case: Case) -> AsyncIterator[OpenAccounts]:
        """Give the installs that were there then, in the documents that were answered."""
        path = case["request"]["path"]
        if any(call["path"].startswith("/document/") for call in case["worker_api_calls"]):
            self._asking[path] = case
        async with stored(self._asking.get(path, case)) as url:
            database = InstallsDatabase(f"sqlite:///{self._folder}/{case['name']}.sqlite")
            keyring = Keyring.read(new_key("replay"))
            client = DocumentClient(url, KEY)
            store = PlatformAccounts(client, PlatformCipher(SECRET), SqlAccounts(database, keyring), keyring)
            accounts = Accounts(store, keyring, self._folder / "journal")
            try:
                yield OpenAccounts(accounts, database, client)
            finally:
                await accounts.close()

    async def run(self, case: Case) -> str:
        """Replay a case; return what differs, empty for nothing."""
        self._target.expect(case["http_calls"])
        settings = self._settings(case)
        registry = Registry([*nodes(f"{self._web}/sp"), *actions(BasicApp, WebhookApp, self._web)])
        registry.applications |= {found.key: found for found in applications(self._web)}
        async with self._accounts(case) as opened:
            registry.http.access = UserAccess(opened.accounts)
            storage = open_storage(f"sqlite:///{self._folder}/storage.sqlite")
            injection = Injection(registry, storage, PlatformStarter(None, ""), opened.accounts)
            service = answers_of(open_service(settings, registry, opened), is_behind_front=True)
            serving = serve_http(
                settings.http_host, 0, health=Health(), process=None, api_key=None, grace_seconds=0, service=service
            )
            async with serving:
                answer = await self._asked(case["request"])
                if NOT_OURS in answer.text:
                    answer = await self._with_a_state_of_ours(case) or answer
            await injection.close()
            await registry.close()
        return difference(case, answer)

    async def _with_a_state_of_ours(self, case: Case) -> Answered | None:
        """End a login that is begun here first, as the recorded service ended any; None when none can begin."""
        path, _, query = case["request"]["path"].partition("?")
        callback = dict(parse_qsl(query, keep_blank_values=True))
        page = ((case.get("response_body_json") or {}).get("redirectUrl")) or "http://front.local/done"
        begins = path.removesuffix("/token") if "/users/" in path else _owner(callback.get("state", ""))
        begun = await self._asked(asking(f"{begins}?redirect_url={quote(page, safe='')}"))
        if begun.status != HTTPStatus.OK:
            return None
        own = dict(parse_qsl(urlsplit(begun.data["authorizeUrl"]).query))
        return await self._asked(asking(f"{path}?{urlencode(callback | {'state': own['state']})}"))

    async def _asked(self, request: Mapping[str, Any]) -> Answered:
        body = (request["body"] or "").replace(WEB, self._web).encode()
        headers = {name: value for name, value in request["headers"] if name.lower() not in OF_THE_CONNECTION}
        connector = aiohttp.UnixConnector(f"{self._folder}/service")
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.request(
                request["method"],
                URL(f"http://service{request['path']}", encoded=True),
                data=body or None,
                headers=headers,
                skip_auto_headers=("Content-Type",),
            ) as answer,
        ):
            text = (await answer.read()).decode(errors="replace").replace(self._web, WEB)
            return Answered(answer.status, answer.headers.get("Content-Type", ""), text)


def asking(path: str) -> Mapping[str, Any]:
    """Return a request as those that were recorded."""
    return {"method": "GET", "path": path, "headers": [], "body": None}


def _owner(state: str) -> str:
    """Return where the login of a recorded state began."""
    try:
        parts = urlsafe_b64decode(f"{state}==").decode("latin-1").split(":")
    except ValueError:
        parts = []
    user, application = (quote(part, safe="") for part in (*parts, "", "")[:2])
    return f"/applications/{application}/users/{user}/authorize"


async def replayed(cases: Mapping[str, Case]) -> Mapping[str, str]:
    """Replay cases; return what differs by the name of the case."""
    with TemporaryDirectory() as folder:
        async with Target().serving() as target:
            replay = Replay(target, Path(folder))
            return {name: await replay.run(case) for name, case in cases.items()}


def read_cases(folder: Path) -> Mapping[str, Case]:
    """Return the cases of a folder by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
