"""Grouped writes: what waits is written in one transaction, while the next group gathers.

A message's record is committed before the message is acknowledged. One transaction is under way at a time, in a thread
of its own, so a group is what arrived during the one before and, under load, in a few milliseconds more: one message on
a quiet day, dozens to hundreds under load.

A run is known from its first record on, whichever that is (`fold.py`). So nothing waits for the record that a first
message has arrived, and most of them are never written: only what is still at work after a moment is put down, for
people to see.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from worker.errors import HandBack, StoreError
from worker.patience import Patience
from worker.protocol import headers as h
from worker.protocol.identity import SentMessage, approved_step, first_step
from worker.protocol.message import Visit
from worker.protocol.topology import Topology
from worker.protocol.transport import Delivery
from worker.runs.following import Written
from worker.runs.records import Record, record
from worker.runs.run import MessageState
from worker.runs.store import RunStore

log = structlog.get_logger()

LARGEST_GROUP = 2_000
MANY = 8
GATHER_SECONDS = 0.005
"""How long a group gathers when the one before had many records: a transaction costs as much as twenty of them."""
MOMENT_SECONDS = 0.25
"""How long a first message may be at work without being seen."""
REFRESH_SECONDS = 1.0
"""How often a worker asks which runs are cancelled."""

T = TypeVar("T")


class _Group:
    """Records that are committed together."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._is_given_up = False
        self._done = asyncio.Event()

    async def written(self) -> None:
        await self._done.wait()
        if self._is_given_up:
            raise HandBack

    def finish(self, *, is_given_up: bool = False) -> None:
        self._is_given_up = is_given_up
        self._done.set()


class Recorder:
    """Counts runs in a database. `run` it beside the consumers."""

    def __init__(self, store: RunStore, topology: Topology, *, wants_notice: bool) -> None:
        """With `wants_notice` the end of each run is put down for `Notices`."""
        self.store = store
        self._topology = topology
        self._wants_notice = wants_notice
        self._cancelled: frozenset[str] = frozenset()
        self._group = _Group()
        self._has_work = asyncio.Event()
        self._begun: dict[Delivery, Visit] = {}
        """First messages at work, not put down."""
        self._has_begun = asyncio.Event()
        self._patience = Patience()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="process-state")

    def arrived(self, visit: Visit) -> tuple[Visit, Written | None]:
        """Note a message that nobody has sent on, and give it its step; or that a person has sent it on again."""
        headers = visit.headers
        if not headers.get(h.CORRELATION_ID):
            return visit, None
        if not headers.text(h.STEP):
            step = first_step(visit.node.id, headers.text(h.PROCESS_ID), headers.text(h.CURSOR))
            visit = self._begun[visit.delivery] = visit.with_step(step)
            self._has_begun.set()
        elif headers.get(h.USER_TASK_STATE) == "accept":
            visit = visit.with_step(approved_step(headers.text(h.STEP)))
            return visit, self._add(record(visit, MessageState.OPEN, is_again=True))
        return visit, None

    def is_cancelled(self, visit: Visit) -> bool:
        """Whether somebody has cancelled the run, as of the last second."""
        return bool(self._cancelled) and visit.headers.text(h.CORRELATION_ID) in self._cancelled

    async def set_aside(self, visit: Visit) -> None:
        """Put down a first message that will wait, for people to see it; return when that is committed."""
        if self._begun.pop(visit.delivery, None) is not None:
            await self._add(record(visit, MessageState.OPEN)).written()

    async def ended(self, visit: Visit, state: MessageState, sent: Sequence[SentMessage]) -> None:
        """Note that a message has ended; return when that is committed."""
        if visit.headers.get(h.STEP) and visit.headers.get(h.CORRELATION_ID):
            self._begun.pop(visit.delivery, None)
            await self._add(record(visit, state, sent)).written()

    def stop_waiting(self) -> None:
        """Hand back what waits for a database that is away."""
        self._patience.end()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_groups(), name="write process state")
            group.create_task(self._put_down_begun(), name="put down what is long at work")
            group.create_task(self._refresh(), name="look for cancelled processes")

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a method of the store in the one thread that uses the database."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*arguments))

    async def close(self) -> None:
        """Close the connections."""
        await self.call(self.store.close)
        self._thread.shutdown()

    def _add(self, added: Record) -> _Group:
        self._group.records.append(added)
        self._has_work.set()
        return self._group

    async def _put_down_begun(self) -> None:
        while True:
            await self._has_begun.wait()
            self._has_begun.clear()
            seen = list(self._begun)
            await asyncio.sleep(MOMENT_SECONDS)
            for delivery in seen:
                if (visit := self._begun.pop(delivery, None)) is not None:
                    self._add(record(visit, MessageState.OPEN))

    async def _write_groups(self) -> None:
        is_busy = False
        while True:
            await self._has_work.wait()
            if is_busy:
                await asyncio.sleep(GATHER_SECONDS)
            self._has_work.clear()
            group, self._group = self._group, _Group()
            is_busy = len(group.records) >= MANY
            await self._write(group)

    async def _write(self, group: _Group) -> None:
        try:
            await self._patience.until_answered(lambda: self._write_once(group), errors=StoreError, told=_say_away)
        except HandBack:
            group.finish(is_given_up=True)
        else:
            group.finish()

    async def _write_once(self, group: _Group) -> None:
        for start in range(0, len(group.records), LARGEST_GROUP):
            await self.call(self._write_some, group.records[start : start + LARGEST_GROUP])

    def _write_some(self, records: Sequence[Record]) -> None:
        self.store.write(records, wants_notice=self._wants_notice)

    async def _refresh(self) -> None:
        names = {follower.id: follower.name for node in self._topology.nodes for follower in node.followers}
        names |= {node.id: node.name for node in self._topology.nodes}
        while True:
            try:
                if names:
                    await self.call(self.store.note_nodes, names)
                    names = {}
                self._cancelled = await self.call(self.store.cancelled)
            except StoreError as error:
                log.debug("cancelled_processes_unknown", cause=str(error))
            await asyncio.sleep(REFRESH_SECONDS)


def _say_away(error: Exception, seconds: float) -> None:
    log.error(
        "process_state_away",
        cause=str(error),
        consequence="the messages wait in the broker",
        retry_in_seconds=round(seconds, 1),
    )
