"""An order service: answers HTTP and, in the same process, shelves the orders that a topology sends.

Run it with a broker, start a process, and look at the shelf:

    WORKER_AMQP_URL=amqp://guest:guest@localhost:5672/%2F python -m examples.embedding
    orchesty-worker start start --topology examples/embedding/topology.json --data '{"id": 17, "total": 9.5}'
    curl localhost:8080/orders
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel

from connectors import CustomNode, Message
from worker import Registry, Worker, load_settings

TOPOLOGY = Path(__file__).parent / "topology.json"


class Order(BaseModel):
    """What the topology sends."""

    id: int
    total: float


class ShelveOrder(CustomNode[Order, Order]):
    """Puts the order on the service's shelf: an action may use what the service has."""

    name = "shelve-order"

    def __init__(self, shelf: dict[int, Order]) -> None:
        self._shelf = shelf

    async def process(self, message: Message[Order]) -> Message[Order]:
        """Shelve it; the same order twice is the same order."""
        self._shelf[message.data.id] = message.data
        return message


def application(shelf: dict[int, Order], worker: Worker) -> web.Application:
    """Return the service's own HTTP, which answers for the worker too."""

    async def orders(_: web.Request) -> web.Response:
        return web.json_response([order.model_dump() for order in shelf.values()])

    async def ready(_: web.Request) -> web.Response:
        return web.json_response(dict(worker.describe()), status=200 if worker.is_ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=worker.metrics())

    service = web.Application()
    service.add_routes([web.get("/orders", orders), web.get("/readyz", ready), web.get("/metrics", metrics)])
    return service


@asynccontextmanager
async def listening(service: web.Application, port: int) -> AsyncIterator[None]:
    """Answer HTTP while the context is open."""
    runner = web.AppRunner(service)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def main() -> None:
    """Serve until SIGTERM or Ctrl-C; the worker finishes the messages in work first."""
    shelf: dict[int, Order] = {}
    settings = load_settings(topology=TOPOLOGY)
    worker = Worker(settings, registry=Registry([ShelveOrder(shelf)]), answers_http=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, worker.stop)
    async with listening(application(shelf, worker), int(os.environ.get("PORT", "8080"))):
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
