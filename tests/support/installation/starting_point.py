"""A stand-in of the platform's starting point, and of the worker behind it: what they ask services in a run."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from aiohttp import web

from support.installation.worker_api import KEY, WorkerApi
from support.services import served

ANSWER_SECONDS: Final = 60


@dataclass(frozen=True)
class FirstNode:
    """The first node of a topology: an action of a service."""

    sdk: str
    url: str
    action_path: str
    applications: tuple[str, ...]
    """Those of the topology's nodes at this service."""


@dataclass(frozen=True)
class Run:
    """A run that was started: the message for its first node, and what the service answered."""

    headers: dict[str, str]
    body: str
    status: int
    answer: dict[str, Any]


@dataclass
class StartingPoint:
    """Starts topologies. `names_services` is the way of 3.0, else that of 4.3.6."""

    worker_api: WorkerApi
    names_services: bool
    topologies: dict[tuple[str, str], FirstNode] = field(default_factory=dict)
    """By topology and node."""
    runs: list[Run] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["StartingPoint"]:
        """Serve on loopback."""
        application, own = web.Application(), "/topologies/{topology}/nodes/{node}"
        hook = f"{own}/token/{{token}}/run" if self.names_services else f"/webhook{own}/token/{{token}}"
        application.router.add_post(hook, self._called)
        for user in ("", "/user/{user}"):
            for run in ("run", "run-by-name"):
                application.router.add_post(f"{own}{user}/{run}", self._asked)
        timeout = httpx.Timeout(ANSWER_SECONDS)
        async with served(application) as self.url, httpx.AsyncClient(timeout=timeout, trust_env=False) as self._http:
            yield self

    async def _asked(self, request: web.Request) -> web.Response:
        """Start for a caller with the key."""
        if request.headers.get("Authorization" if self.names_services else "orchesty-api-key") != KEY:
            return web.json_response({"message": "Unauthorized"}, status=401)
        return await self._start(request, request.match_info.get("user", "orchesty"))

    async def _called(self, request: web.Request) -> web.Response:
        """Start for a service that knows the token of a webhook; its headers are dropped."""
        wanted = {name: request.match_info[name] for name in ("topology", "node", "token")}
        webhooks = self.worker_api.kept("Webhook")
        found = next((one for one in webhooks if wanted.items() <= one.items()), None)
        if found is None:
            return web.json_response({"message": "unknown webhook"}, status=404)
        return await self._start(request, found["user"])

    async def _start(self, request: web.Request, user: str) -> web.Response:
        first = self.topologies.get((request.match_info["topology"], request.match_info["node"]))
        if first is None:
            return web.json_response({"message": "unknown topology"}, status=404)
        headers = {"user": user, "correlation-id": f"c{len(self.runs)}", "process-id": f"p{len(self.runs)}"}
        headers |= {"sdk": first.sdk} if self.names_services else {}
        if limits := await self._limits(first, user):
            headers["limiter-key"] = limits
        self.runs.append(await self._passed(first, headers, await request.text()))
        return web.json_response({"state": "ok", "started": 1, "correlation_id": headers["correlation-id"]})

    async def _limits(self, first: FirstNode, user: str) -> str:
        """Return the limits of the user; a bad answer switches them off."""
        path = f"applications/sdk/{first.sdk}/limits" if self.names_services else "applications/limits"
        asked = {"user": user, "applications": list(first.applications)}
        reply = await self._http.post(f"{first.url}/{path}", json=asked)
        try:
            return ";".join(reply.json())
        except (ValueError, TypeError):
            return ""

    async def _passed(self, first: FirstNode, headers: dict[str, str], body: str) -> Run:
        """Call the action as the platform's worker does: without a content type."""
        envelope = json.dumps({"headers": headers, "body": body}).encode()
        reply = await self._http.post(f"{first.url}/{first.action_path}", content=envelope)
        return Run(headers, body, reply.status_code, reply.json())
