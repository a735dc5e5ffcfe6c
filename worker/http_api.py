"""What the worker answers over HTTP: `/readyz`, `/healthz` and the platform's `/api/process`."""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from worker import headers as h
from worker.envelope import Envelope
from worker.errors import StartupError

log = structlog.get_logger()

MAX_BODY_BYTES = 64 * 1024 * 1024


class Health(Protocol):
    """What the probes ask."""

    @property
    def is_ready(self) -> bool:
        """Whether messages are taken."""

    def describe(self) -> Mapping[str, Any]:
        """Return the state in detail, for a person."""


class ProcessRequest(BaseModel):
    """Body of `POST /api/process`."""

    messageId: str  # noqa: N815 - the platform's spelling
    headers: dict[str, Any]
    body: str
    published: int


Process = Callable[[str, Envelope, int], Awaitable[bool]]
"""Processes a message for the node with this id; False: not now."""


@asynccontextmanager
async def serve_http(
    host: str, port: int, *, health: Health, process: Process, api_key: str | None, grace_seconds: float
) -> AsyncIterator[None]:
    """Answer HTTP while the context is open. Raises `StartupError` when the port is taken."""
    runner = web.AppRunner(_application(health, process, api_key), access_log=None, shutdown_timeout=grace_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise StartupError(
            f"cannot listen on {host}:{port}: {error.strerror}. Choose another port with WORKER_HTTP_PORT."
        ) from None
    try:
        yield
    finally:
        await runner.cleanup()


def _application(health: Health, process: Process, api_key: str | None) -> web.Application:
    async def probe(_: web.Request) -> web.Response:
        return web.json_response(dict(health.describe()), status=200 if health.is_ready else 503)

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
    application.router.add_post("/api/process", api_process)
    return application


def _is_allowed(request: web.Request, api_key: str | None) -> bool:
    given = request.headers.get("orchesty-api-key", "")
    return bool(api_key) and hmac.compare_digest(given.encode(), (api_key or "").encode())
