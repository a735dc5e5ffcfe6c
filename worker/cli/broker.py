"""The broker, for commands that use it once."""

import asyncio
from collections.abc import Sequence

from worker.broker import Link, Publication, Publisher
from worker.process import broker_url
from worker.settings import Settings
from worker.topology import load_topology

PATIENCE_SECONDS = 30


async def publish(settings: Settings, publications: Sequence[Publication]) -> None:
    """Publish, confirmed. Raises `TimeoutError` when the broker does not take them within half a minute."""
    url = settings.amqp_url.get_secret_value() if settings.amqp_url else ""
    publisher = Publisher()
    link = Link(url or broker_url(settings, load_topology(settings.topology)), "command", publisher.serve)
    running = asyncio.ensure_future(link.run())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await publisher.publish(publications)
    finally:
        running.cancel()
        await asyncio.wait([running])
