"""Messages that were in work when a worker vanished: one of them may be what ended it.

The broker counts how often it took a message back, whichever worker had it. What has come back several times is a
suspect. Suspects begin one after the other in a process, so that all that begin before the guilty one get through. The
next time they come back, the order is turned round: what stood behind the guilty one stands before it. After every two
times the order is another one, for the case that several are guilty. So innocents get through long before
`WORKER_MAX_DELIVERIES`, and the guilty ones end in the trash.

Classic queues do not count. What comes back from one is a suspect at once, and stands at a place by chance: each time
half of the innocents get through, on average.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from itertools import count

import structlog

from worker.patience import wait_for
from worker.protocol.transport import Delivery

log = structlog.get_logger()

SUSPECT_DELIVERIES = 3
"""As often a message is delivered until it is a suspect."""
GATHER_SECONDS = 0.5
"""How long the first one waits for others, which come at the same time as it."""
ALONE_SECONDS = 2.0
"""How long a suspect works before the next one begins: what ends a process mostly does so at once."""

ACKNOWLEDGED_SECONDS = 0.1
"""Between two: the acknowledgement of the one before has to leave first, or it comes back, too."""


@dataclass(order=True, slots=True)
class _Waiting:
    rank: int
    number: int
    delivery: Delivery = field(compare=False)
    begins: asyncio.Event = field(default_factory=asyncio.Event, compare=False)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event, compare=False)


class Suspects:
    """The suspects of this process, of all its nodes."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._numbers = count()
        self._calling: asyncio.Task[None] | None = None
        self._times = 0
        """How often those have come back that are called up now."""
        self._chance = 0
        """In place of that for those that nobody has counted."""

    @asynccontextmanager
    async def turn(self, delivery: Delivery) -> AsyncIterator[None]:
        """Wait for the turn of a suspect, which lasts as long as the context is open."""
        waiting = _Waiting(self._rank(delivery), next(self._numbers), delivery)
        heappush(self._waiting, waiting)
        self._call()
        try:
            await waiting.begins.wait()
            yield
        except asyncio.CancelledError:
            self._gather_again(waiting)
            raise
        finally:
            waiting.has_ended.set()

    def _call(self) -> None:
        if self._calling is None or self._calling.done():
            loop = asyncio.get_running_loop()  # no action's task: past the loop's factory of tasks
            self._calling = asyncio.Task(self._call_up(), loop=loop, name="call suspects up")

    def _gather_again(self, gone: _Waiting) -> None:
        """Wait for a message that the broker has taken back: with its connection, all of that connection come again."""
        self._waiting = [waiting for waiting in self._waiting if waiting is not gone]
        heapify(self._waiting)
        if self._calling is not None:
            self._calling.cancel()
            self._calling = None
        if self._waiting:
            self._call()

    async def _call_up(self) -> None:
        """Let one after the other begin, until none is left."""
        await asyncio.sleep(GATHER_SECONDS)
        self._put_in_order()
        while self._waiting:
            called = heappop(self._waiting)
            called.begins.set()
            await wait_for(called.has_ended, ALONE_SECONDS)
            await asyncio.sleep(ACKNOWLEDGED_SECONDS)

    def _put_in_order(self) -> None:
        self._times = max(waiting.delivery.deliveries for waiting in self._waiting)
        self._chance = secrets.randbits(31)
        for waiting in self._waiting:
            waiting.rank = self._rank(waiting.delivery)
        heapify(self._waiting)
        log.warning("suspects_begin", messages=len(self._waiting), consequence="one begins after the other")

    def _rank(self, delivery: Delivery) -> int:
        return rank(delivery.raw, self._chance if delivery.is_uncounted else self._times)


def rank(raw: bytes, times: int) -> int:
    """Return the place of a message among those of which one has come back this many times."""
    pair, is_back = divmod(times - SUSPECT_DELIVERIES, 2)
    place = int.from_bytes(blake2b(raw, digest_size=8, salt=pair.to_bytes(8, signed=True)).digest())
    return -place if is_back else place
