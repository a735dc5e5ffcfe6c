"""Actions called as the worker calls them, with a service on loopback and no broker."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from typing import Any

from aiohttp import web

from applications import Application
from applications.access import Access
from connectors import Outcome
from connectors.action import Action, ServiceAction
from connectors.http import Call, Http
from connectors.rate import RateNotice
from support.services import serving
from support.visits import node, visit
from worker.actions.local import local_call

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Bench:
    """Calls actions; keeps what services say about limits, and the calls that were made."""

    def __init__(self, url: str, access: Mapping[str, Any], path: str, **http: Any) -> None:
        self.url = url
        self.http = Http(timeout_seconds=10, **http)
        self.notices: list[RateNotice] = []
        self.calls: list[Call] = []
        self._access = access
        self._path = path
        self.http.access = self._find
        self.http.rate_noticed = self.notices.append
        self.http.called = self.calls.append

    async def _find(self, application: type[Application], _: str, __: str) -> Access:
        headers = {**application.headers, **self._access.get("headers", {})}
        return Access(self.url + self._path, headers, fields=self._access.get("fields", {}))

    async def call(self, action: Action[Any, Any], data: Any = None, **headers: Any) -> Outcome:
        """Return what comes of a message with this body."""
        own = copy(action)
        if isinstance(own, ServiceAction):
            own.http = self.http
        body = data if isinstance(data, str) else json.dumps(data)
        return await local_call(own)(visit(node("next"), body, **headers))


@asynccontextmanager
async def bench(
    answer: Answer, *, access: Mapping[str, Any] | None = None, path: str = "", **http: Any
) -> AsyncIterator[Bench]:
    """A service that answers by this function, and actions that call it; `path` is that of its base URL."""
    async with serving(answer) as url:
        made = Bench(url, access or {}, path, **http)
        try:
            yield made
        finally:
            await made.http.close()


def data_of(outcome: Any) -> Any:
    """Return the body of what is forwarded."""
    return json.loads(outcome.message.body)
