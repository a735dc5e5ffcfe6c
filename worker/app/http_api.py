"""What the worker answers over HTTP: `/readyz`, `/healthz`, `/metrics` and the platform's `/api/process`."""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, Protocol

import structlog
from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from worker.doors.bodies import read_body
from worker.doors.server import listening
from worker.doors.tls import server_tls
from worker.prometheus import CONTENT_TYPE
from worker.protocol import headers as h
from worker.protocol.message import Envelope
from worker.settings.settings import Settings
from worker.urls import UNIX

log = structlog.get_logger()

PROCESS_PATH = "/api/process"
WEBHOOK_PATH = "/webhook/topologies/{topology}/nodes/{node}/token/{token}"
ANY_PATH = r"/{path:[\s\S]*}"
HEALTHY = frozenset({"ok", "blocked by the broker", "publishing refused"})
"""What a worker says of itself that no new start would cure."""


class Health(Protocol):
    """What the probes ask."""

    @property
    def is_ready(self) -> bool:
        """Whether messages are taken."""

    @property
    def is_healthy(self) -> bool:
        """Whether it works, or waits for what no new start would bring."""

    def describe(self) -> Mapping[str, Any]:
        """Return the state in detail, for a person."""

    def metrics(self) -> str:
        """Return what Prometheus reads."""


class ProcessRequest(BaseModel):
    """Body of `POST /api/process`."""

    messageId: str  # noqa: N815 - the platform's spelling
    headers: dict[str, Any]
    body: str
    published: int = Field(gt=-(2**62), lt=2**62)


Answer = Callable[[web.Request], Awaitable[web.Response]]

Process = Callable[[str, Envelope, int], Awaitable[bool]]
"""Processes a message for the node with this id; False: not now."""


@asynccontextmanager
async def serve_http(
    host: str,
    port: int,
    *,
    health: Health,
    process: Process | None,
    api_key: str | None,
    grace_seconds: float,
    webhook: Answer | None = None,
    service: Answer | None = None,
    ends: Callable[[web.Application], None] | None = None,
    tls: SSLContext | None = None,
) -> AsyncIterator[None]:
    """Answer HTTP while the context is open; `service` answers all that nobody else does.

    `ends` adds the requests that end the worker.

    Raises `StartupError` when the port is taken.
    """
    application = _application(health, process, api_key)
    if ends is not None:
        ends(application)
    if webhook is not None:
        application.router.add_route("*", WEBHOOK_PATH, webhook)
    if service is not None:
        application.router.add_route("*", ANY_PATH, service)
    async with listening(application, host, port, grace_seconds, tls=tls):
        yield


def tls_of(settings: Settings) -> SSLContext | None:
    """Return the TLS of these settings; a socket of the machine has none. Raises `StartupError`."""
    if settings.http_host.startswith(UNIX):
        return None
    return server_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)


def metrics_response(text: str) -> web.Response:
    """Return the answer to Prometheus."""
    return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


def _application(health: Health, process: Process | None, api_key: str | None) -> web.Application:
    async def readiness(_: web.Request) -> web.Response:
        return web.json_response(dict(health.describe()), status=200 if health.is_ready else 503)

    async def liveness(_: web.Request) -> web.Response:
        return web.json_response(dict(health.describe()), status=200 if health.is_healthy else 503)

    async def metrics(_: web.Request) -> web.Response:
        return metrics_response(health.metrics())

    async def api_process(request: web.Request) -> web.Response:
        if not is_allowed(request, api_key):
            return web.Response(status=401)
        assert process is not None, "else it has no route"
        try:
            wanted = ProcessRequest.model_validate_json(await read_body(request))
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False, include_context=False)
            return web.json_response({"error": "not a process message", "problems": problems}, status=400)
        headers = wanted.headers | {h.LIMIT_PASSED: "1"}
        is_done = await process(h.text(headers.get(h.NODE_ID)), Envelope(wanted.body, headers), wanted.published)
        return web.json_response(
            {
                "messageId": wanted.messageId,
                "limiterKey": h.text(wanted.headers.get(h.LIMITER_KEY)),
                "ok": is_done,
            }
        )

    application = web.Application()
    application.router.add_get("/readyz", readiness)
    application.router.add_get("/healthz", liveness)
    application.router.add_get("/metrics", metrics)
    if process is not None:
        application.router.add_post(PROCESS_PATH, api_process)
    return application


def is_allowed(request: web.Request, api_key: str | None) -> bool:
    """Say whether a request has the platform's key; it has to be asked before the body is read."""
    given = request.headers.get("orchesty-api-key", "")
    return bool(api_key) and hmac.compare_digest(given.encode(errors="surrogateescape"), (api_key or "").encode())
