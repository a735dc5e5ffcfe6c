"""A delivery starts one run, however often and through however many processes it comes."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from applications.errors import TryLater
from worker.webhooks.batching import Batcher
from worker.webhooks.webhook import DeliveryClaim, DeliveryId

if TYPE_CHECKING:
    from worker.webhooks.deliveries import Deliveries

log = structlog.get_logger()

REMEMBERED: Final = 20_000
"""Deliveries of this process that it knows without asking the database."""
PURGE_SECONDS: Final = 3600
_SOON: Final = timedelta(seconds=1)


class OncePerDelivery:
    """Claims a delivery in the database, starts it, and notes that it was taken: two transactions, shared by many."""

    def __init__(self, store: "Deliveries") -> None:
        self._store = store
        self._taken: OrderedDict[DeliveryId, None] = OrderedDict()
        self._under_way: dict[DeliveryId, asyncio.Future[bool]] = {}
        self._claim = Batcher(self._claim_many)
        self._note = Batcher(self._note_many)
        self._release = Batcher(self._release_many)
        self._purged = time.monotonic()

    async def start(self, delivery: DeliveryId, start: Callable[[], Awaitable[None]]) -> bool:
        """Start, unless this delivery was taken before: False then. One that comes meanwhile waits for the first.

        Raises what `start` raises, and `TryLater` while another process starts it or when the first came to nothing.
        """
        if delivery in self._taken:
            return False
        if (before := self._under_way.get(delivery)) is not None:
            if not await asyncio.shield(before):
                raise TryLater("the same delivery came to nothing at the same time", _SOON)
            return False
        under_way = self._under_way[delivery] = asyncio.get_running_loop().create_future()
        is_taken = False
        try:
            is_new = await self._claimed_and_started(delivery, start)
            is_taken = True
        finally:
            del self._under_way[delivery]
            under_way.set_result(is_taken)
        self._taken[delivery] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
        return is_new

    async def _claimed_and_started(self, delivery: DeliveryId, start: Callable[[], Awaitable[None]]) -> bool:
        claim = await self._claim(delivery)
        if claim is DeliveryClaim.OTHERS:
            raise TryLater("another process takes the same delivery, or died while it did", _SOON)
        if claim is DeliveryClaim.TAKEN:
            return False
        try:
            await start()
            await self._note(delivery)
        except BaseException:
            with suppress(TryLater):  # a claim ends by itself, too
                await self._release(delivery)
            raise
        return True

    async def _claim_many(self, deliveries: Sequence[DeliveryId]) -> Sequence[DeliveryClaim]:
        claims = await self._store.claim(deliveries)
        return [claims[delivery] for delivery in deliveries]

    async def _note_many(self, deliveries: Sequence[DeliveryId]) -> Sequence[None]:
        await self._store.take(deliveries)
        if time.monotonic() - self._purged > PURGE_SECONDS:
            await self._purge()
        return [None] * len(deliveries)

    async def _purge(self) -> None:
        """Forget a piece, and the next one with the next calls, which wait for it."""
        try:
            is_more = await self._store.purge()
        except TryLater as error:  # these calls were taken all the same
            log.warning("webhook_purge_failed", cause=str(error))
            is_more = False
        if not is_more:
            self._purged = time.monotonic()

    async def _release_many(self, deliveries: Sequence[DeliveryId]) -> Sequence[None]:
        await self._store.release(deliveries)
        return [None] * len(deliveries)
