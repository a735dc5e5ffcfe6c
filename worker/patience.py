"""Time that a message spends waiting in the worker."""

import asyncio
from collections.abc import Awaitable, Callable

LONGEST_PAUSE_SECONDS = 30
"""Between two tries of an action that does not answer."""

Wait = Callable[[asyncio.Event, float], Awaitable[bool]]
"""Waits for an event, at most this many seconds; says whether it came. `worker.testing` has a clock of its own."""


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait by the clock of the event loop."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
