"""The broker, for commands that use it once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import click

from worker.broker.link import Link, Session
from worker.broker.one_shot import looking
from worker.broker.opening import AccessRefused
from worker.broker.publisher import Publisher
from worker.errors import BrokerError
from worker.protocol.topology_file import load_topology
from worker.protocol.transport import Publication
from worker.settings.settings import Settings

PATIENCE_SECONDS = 30


@asynccontextmanager
async def connected(settings: Settings, serve: Callable[[Session], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Keep a connection up while the context is open, and let `serve` use it.

    Raises a `ClickException` at once when the broker refuses user, password or virtual host.
    """
    url = address(settings)
    await _admitted(url)
    link = Link(url, "command", serve)
    running = asyncio.ensure_future(link.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _admitted(url: str) -> None:
    """See that waiting can help: a broker that is away may come back, one that refuses us stays as it is."""
    try:
        async with looking(url):
            return
    except AccessRefused as error:
        raise click.ClickException(f"the broker refuses WORKER_AMQP_URL: {error}. See: orchesty-worker check") from None
    except BrokerError:
        return


def address(settings: Settings) -> str:
    """Return the broker's address, of the settings or of the topology."""
    return settings.broker_address(None if settings.amqp_url else load_topology(settings.topology).amqp_url)


async def publish(publisher: Publisher, publications: Sequence[Publication]) -> None:
    """Publish, confirmed. Raises a `ClickException` when the broker does not take them within half a minute."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await publisher.publish(publications)
    except TimeoutError:
        raise click.ClickException(
            f"the broker took no message within {PATIENCE_SECONDS} s; the log above says why. Is WORKER_AMQP_URL right?"
        ) from None
