"""Proof that the broker has taken the acknowledgements of a channel."""

import asyncio

from worker.broker.consumer import Acknowledgements
from worker.broker.link import CONNECTION_ERRORS
from worker.broker.objects import RPC_SECONDS
from worker.errors import ChannelLost


class AckBarrier:
    """A question behind the acknowledgements of one channel: the broker answers a channel's frames in order.

    One question serves all that wait. It lives and dies with its channel: one that is never answered must not stand in
    the way of the next channel's.
    """

    def __init__(self, acknowledgements: Acknowledgements, prefetch: int, name: str) -> None:
        self._acknowledgements = acknowledgements
        self._prefetch = prefetch
        self._name = name
        self._next: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()

    async def passed(self) -> None:
        """Return when the broker has taken what is acknowledged by now. Raises `ChannelLost`."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._pass(), name=self._name)
            self._next.add_done_callback(_notice)
        await asyncio.shield(self._next)

    async def _pass(self) -> None:
        async with self._asking:
            self._next = None  # what is acknowledged from now on needs another one
            try:
                async with asyncio.timeout(RPC_SECONDS):
                    await self._acknowledgements.ask(self._prefetch)
            except CONNECTION_ERRORS as error:
                raise ChannelLost(f"no answer to acknowledgements: {error}") from error


def _notice(done: asyncio.Task[None]) -> None:
    """Look at the error: those who waited may have gone with the channel."""
    if not done.cancelled():
        done.exception()
