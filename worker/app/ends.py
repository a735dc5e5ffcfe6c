"""How the platform ends a worker: `DELETE /close`, and `DELETE /api/destroy`, which deletes its queues as well."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiohttp import web

from worker.app.http_api import is_allowed
from worker.errors import BrokerError
from worker.service.callers import refused
from worker.service.server import response_of

log = structlog.get_logger()

CLOSE_PATH = "/close"
DESTROY_PATH = "/api/destroy"
DONE = '"{}"\n'
"""What the platform's worker answers: a JSON text."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What the platform may ask for."""

    close: Callable[[], None]
    """Finish the messages in work, and end."""
    destroy: Callable[[], Awaitable[None]]
    """The same, and delete what the topology has on the broker; return when it is gone. Raises `BrokerError`."""


def add_ends(
    application: web.Application, ends: Ends, api_key: str | None, may_close: Callable[[web.Request], bool]
) -> None:
    """Answer the two requests. The platform sends the key with the second one only; `may_close` knows its networks."""

    async def close(request: web.Request) -> web.Response:
        if not may_close(request):
            return response_of(refused())
        log.info("worker_closed", cause="DELETE /close")
        ends.close()
        return _done()

    async def destroy(request: web.Request) -> web.Response:
        if not is_allowed(request, api_key):
            return web.Response(status=401)
        log.info("topology_destroyed", cause="DELETE /api/destroy", consequence="its queues and exchanges are deleted")
        try:
            await ends.destroy()
        except BrokerError as error:
            log.warning("topology_not_destroyed", cause=str(error), consequence="its queues are left in the broker")
            return web.json_response({"error": f"the queues are not deleted: {error}"}, status=502)
        return _done()

    application.router.add_delete(CLOSE_PATH, close)
    application.router.add_delete(DESTROY_PATH, destroy)


def _done() -> web.Response:
    return web.Response(text=DONE, content_type="application/json")
