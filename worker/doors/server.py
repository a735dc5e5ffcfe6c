"""A server of HTTP behind the doors: for a worker process, for the supervisor and for a login."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from worker.doors.connections import IDLE_SECONDS, Doorkeeper
from worker.errors import StartupError
from worker.urls import UNIX

HANDSHAKE_SECONDS: Final = 10.0
BACKLOG: Final = 512
"""Connections that the system takes before we do."""
OTHER_ADDRESS: Final = "Choose another address with WORKER_HTTP_HOST and WORKER_HTTP_PORT."

_log = logging.getLogger("aiohttp.server")


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what the answer 400 says, unless asked for: anybody can send what is not HTTP."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError) or _log.isEnabledFor(logging.DEBUG)


_log.addFilter(_is_worth_a_line)


@asynccontextmanager
async def listening(
    application: web.Application, host: str, port: int, grace_seconds: float, *, cure: str = OTHER_ADDRESS,
    tls: SSLContext | None = None,
) -> AsyncIterator[int]:  # fmt: skip
    """Serve the application while the context is open; return the port.

    Raises `StartupError` with the cure when the address cannot be had.
    """
    keeper = Doorkeeper(lambda: _protocol(runner))
    application.middlewares.append(keeper.guard)
    # Bodies stay as they came: services sign the compressed one.
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=grace_seconds,
        auto_decompress=False,
        keepalive_timeout=IDLE_SECONDS,
    )
    await runner.setup()
    try:
        server = await _server(keeper, host, port, cure, tls)
        try:
            yield 0 if host.startswith(UNIX) else server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _protocol(runner: web.AppRunner) -> asyncio.Protocol:
    assert runner.server is not None, "it is set up"
    return runner.server()


async def _server(keeper: Doorkeeper, host: str, port: int, cure: str, tls: SSLContext | None) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        if host.startswith(UNIX):
            return await loop.create_unix_server(keeper, host.removeprefix(UNIX), backlog=BACKLOG)
        handshake = HANDSHAKE_SECONDS if tls else None
        return await loop.create_server(keeper, host, port, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=handshake)
    except (OSError, ValueError) as error:
        where = host if host.startswith(UNIX) else f"{host}:{port}"
        raise StartupError(f"cannot listen on {where}: {getattr(error, 'strerror', None) or error}. {cure}") from None
