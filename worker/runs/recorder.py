"""Grouped writes: what waits is written in one transaction, while the next group gathers.

A message's record is committed before the message is acknowledged. One transaction is under way at a time, in a thread
of its own, so a group is as large as what arrived during the one before: one message on a quiet day, hundreds under
load.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from worker import headers as h
from worker.errors import HandBack, StoreError
from worker.runs.following import Written
from worker.runs.records import Record, record
from worker.runs.run import MessageState
from worker.runs.steps import Sent, root_step
from worker.runs.store import RunStore
from worker.topology import Topology
from worker.visit import Visit

log = structlog.get_logger()

LONGEST_PAUSE_SECONDS = 30
LARGEST_GROUP = 2_000
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
        self._stopping = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="process-state")

    def arrived(self, visit: Visit) -> Written | None:
        """Note a message that nobody has sent on, and give it its step."""
        if h.STEP in visit.headers or not visit.header(h.CORRELATION_ID):
            return None
        visit.headers[h.STEP] = root_step(visit)
        return self._add(record(visit, MessageState.OPEN))

    def is_cancelled(self, visit: Visit) -> bool:
        """Whether somebody has cancelled the run, as of the last second."""
        return bool(self._cancelled) and visit.header(h.CORRELATION_ID) in self._cancelled

    async def ended(self, visit: Visit, state: MessageState, sent: Sequence[Sent]) -> None:
        """Note that a message has ended; return when that is committed."""
        if visit.headers.get(h.STEP) is not None and visit.header(h.CORRELATION_ID):
            await self._add(record(visit, state, sent)).written()

    def stop_waiting(self) -> None:
        """Hand back what waits for a database that is away."""
        self._stopping.set()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_groups(), name="write process state")
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

    async def _write_groups(self) -> None:
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            group, self._group = self._group, _Group()
            await self._write(group)

    async def _write(self, group: _Group) -> None:
        pause = 1
        while True:
            try:
                for start in range(0, len(group.records), LARGEST_GROUP):
                    await self.call(self._write_some, group.records[start : start + LARGEST_GROUP])
            except StoreError as error:
                log.error(  # noqa: TRY400 - the place in our code explains nothing
                    "process_state_away",
                    cause=str(error),
                    consequence="the messages wait in the broker",
                    retry_in_seconds=pause,
                )
                if await self._is_stopped_within(pause):
                    group.finish(is_given_up=True)
                    return
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                group.finish()
                return

    def _write_some(self, records: Sequence[Record]) -> None:
        self.store.write(records, wants_notice=self._wants_notice)

    async def _is_stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

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
