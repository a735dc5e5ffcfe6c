"""What the worker answers over HTTP: `/readyz`, `/healthz`, `/metrics` and the platform's `/api/process`."""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from worker.errors import StartupError
from worker.prometheus import CONTENT_TYPE
from worker.protocol import headers as h
from worker.protocol.message import Envelope

log = structlog.get_logger()

MAX_BODY_BYTES = 64 * 1024 * 1024
WEBHOOK_PATH = "/webhook/topologies/{topology}/nodes/{node}/token/{token}"
UNIX = "unix:"
"""What a host begins with that is the path of a socket."""


class Health(Protocol):
    """What the probes ask."""

    @property
    def is_ready(self) -> bool:
        """Whether messages are taken."""

    def describe(self) -> Mapping[str, Any]:
        """Return the state in detail, for a person."""

    def metrics(self) -> str:
        """Return what Prometheus reads."""


class ProcessRequest(BaseModel):
    """Body of `POST /api/process`."""

    messageId: str  # noqa: N815 - the platform's spelling
    headers: dict[str, Any]
    body: str
    published: int


Answer = Callable[[web.Request], Awaitable[web.Response]]

Process = Callable[[str, Envelope, int], Awaitable[bool]]
"""Processes a message for the node with this id; False: not now."""


@asynccontextmanager
async def serve_http(
    host: str,
    port: int,
    *,
    health: Health,
    process: Process,
    api_key: str | None,
    grace_seconds: float,
    webhook: Answer | None = None,
) -> AsyncIterator[None]:
    """Answer HTTP while the context is open. Raises `StartupError` when the port is taken."""
    application = _application(health, process, api_key)
    if webhook is not None:
        application.router.add_route("*", WEBHOOK_PATH, webhook)
    async with listening(application, host, port, grace_seconds):
        yield


@asynccontextmanager
async def listening(application: web.Application, host: str, port: int, grace_seconds: float) -> AsyncIterator[None]:
    """Serve the application while the context is open. Raises `StartupError` when the address cannot be had."""
    # Bodies stay as they came: services sign the compressed one.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=grace_seconds, auto_decompress=False)
    await runner.setup()
    try:
        await _site(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        where = host if host.startswith(UNIX) else f"{host}:{port}"
        raise StartupError(
            f"cannot listen on {where}: {error.strerror or error}. Choose another address with WORKER_HTTP_HOST and "
            "WORKER_HTTP_PORT."
        ) from None
    try:
        yield
    finally:
        await runner.cleanup()


def _site(runner: web.AppRunner, host: str, port: int) -> web.BaseSite:
    if host.startswith(UNIX):
        return web.UnixSite(runner, Path(host.removeprefix(UNIX)))
    return web.TCPSite(runner, host, port)


def metrics_response(text: str) -> web.Response:
    """Return the answer to Prometheus."""
    return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


def _application(health: Health, process: Process, api_key: str | None) -> web.Application:
    async def probe(_: web.Request) -> web.Response:
        return web.json_response(dict(health.describe()), status=200 if health.is_ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return metrics_response(health.metrics())

    async def api_process(request: web.Request) -> web.Response:
        if not _is_allowed(request, api_key):
            return web.Response(status=401)
        try:
            wanted = ProcessRequest.model_validate_json(await request.read())
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

    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.router.add_get("/readyz", probe)
    application.router.add_get("/healthz", probe)
    application.router.add_get("/metrics", metrics)
    application.router.add_post("/api/process", api_process)
    return application


def _is_allowed(request: web.Request, api_key: str | None) -> bool:
    given = request.headers.get("orchesty-api-key", "")
    return bool(api_key) and hmac.compare_digest(given.encode(errors="surrogateescape"), (api_key or "").encode())
