"""The platform's figures: a document in its MongoDB for each message that ends at a node.

Documents wait in memory, a bounded number, and are written in groups in the background. No message waits for them, and
what a database that is away cannot take is dropped and counted.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from applications.pauses import back_off
from worker.patience import wait_for
from worker.prometheus import Family
from worker.protocol import headers as h
from worker.protocol.message import Visit, now_ms
from worker.trash.collections import client_of, insert_many
from worker.trash.documents import Document, to_time

log = structlog.get_logger()

DEFAULT_DATABASE: Final = "metrics"
WAITING: Final = 10_000
"""At most so many documents wait; the oldest make room."""
GROUP: Final = 1000
GROUP_SECONDS: Final = 1.0
"""How long a document waits for others to be written with it."""
WRITE_SECONDS: Final = 10
LAST_SECONDS: Final = 2
"""How long a worker that stops goes on writing."""


class Figure(NamedTuple):
    """A message that has ended at a node; times in ms since the epoch."""

    node: str
    topology: str
    run: str
    published: int
    began: int
    ended: int
    is_success: bool

    def document(self) -> Document:
        """Return it as the platform's admin reads it."""
        return {
            "_id": ObjectId(),
            "tags": {"node_id": self.node, "topology_id": self.topology, "correlation_id": self.run},
            "fields": {
                "waiting_duration": max(self.began - self.published, 0),
                "worker_duration": self.ended - self.began,
                "total_duration": max(self.ended - self.published, 0),
                "result_success": self.is_success,
                "created": to_time(self.ended),
            },
        }


class MongoFigures:
    """Writes figures while `run` runs."""

    def __init__(self, url: str, collection: str) -> None:
        """The database is the one that `url` names, else `metrics`."""
        self._client = client_of(url)
        self._collection = self._client.get_default_database(DEFAULT_DATABASE)[collection]
        self._waiting: deque[Figure] = deque()
        self._group: Sequence[Document] = ()
        self._arrived, self._emptied, self._is_last = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._is_away = False
        self._outcomes: Counter[str] = Counter(written=0, dropped=0)

    def ended(self, visit: Visit, began: int, *, is_success: bool) -> None:
        """Take the figure of a message whose work at its node began at this time, in ms."""
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self._outcomes["dropped"] += 1
        node, run = visit.node, visit.headers.text(h.CORRELATION_ID)
        self._waiting.append(Figure(node.id, node.topology_id, run, visit.timestamp, began, now_ms(), is_success))
        self._arrived.set()

    async def run(self) -> None:
        """Write what is taken, until cancelled."""
        failures = 0
        while True:
            await self._next_group()
            if await self._is_written():
                failures = 0
            else:
                await asyncio.sleep(back_off(failures))
                failures += 1

    async def finish(self) -> None:
        """Return when all is written, or after two seconds; what then waits is dropped."""
        self._is_last.set()
        try:
            async with asyncio.timeout(LAST_SECONDS):
                while self._waiting or self._group:
                    self._emptied.clear()
                    await self._emptied.wait()
        except TimeoutError:
            left = len(self._waiting) + len(self._group)
            self._outcomes["dropped"] += left
            log.warning("figures_dropped", figures=left, cause="the worker stops")

    def families(self) -> Iterator[Family]:
        """Return the metrics."""
        yield Family(
            "orchesty_worker_figures_total",
            "counter",
            "Figures of messages for the platform's admin: written, or dropped because the database was away.",
            [({"outcome": outcome}, count) for outcome, count in sorted(self._outcomes.items())],
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _next_group(self) -> None:
        if self._group:  # it was not written before
            return
        await self._arrived.wait()
        await wait_for(self._is_last, GROUP_SECONDS)
        taken = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        self._group = [figure.document() for figure in taken]
        if not self._waiting:
            self._arrived.clear()

    async def _is_written(self) -> bool:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await insert_many(self._collection, self._group)
        except (PyMongoError, OSError) as error:
            self._note_away(f"{type(error).__name__}: {error}")
            return False
        self._outcomes["written"] += len(self._group)
        self._group = ()
        self._note_back()
        if not self._waiting:
            self._emptied.set()
        return True

    def _note_away(self, cause: str) -> None:
        if not self._is_away:
            self._is_away = True
            log.warning("figures_away", cause=cause, consequence="figures wait, the oldest are dropped")

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("figures_back", waiting=len(self._waiting), dropped=self._outcomes["dropped"])
