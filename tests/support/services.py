"""HTTP services on loopback that the tests script."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

LOOPBACK = "127.0.0.0/8,::1"
"""What workers of the tests have to allow, as the services of their installs are here."""


@asynccontextmanager
async def served(application: web.Application, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve until the context ends; it is the URL."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], port: int = 0, host: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """Answer every request by this function; the context is the service's URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with served(application, port, host) as url:
        yield url
