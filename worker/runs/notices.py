"""Telling others that a run has ended: a webhook is called, another topology is started. At least once each.

Which ends somebody still has to be told of is in the database, so it survives restarts.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

import httpx
import msgspec
import structlog
from sqlalchemy import select, update

from applications.pauses import back_off
from worker.errors import PublishRefused, StoreError
from worker.protocol import headers as h
from worker.protocol.message import encode, now_ms
from worker.protocol.start import RunIds, start_headers
from worker.protocol.topology import ROUTING_KEY, exchange_of
from worker.protocol.transport import Outlet, Publication
from worker.runs.recorder import Recorder
from worker.runs.run import Run, RunState
from worker.runs.search import nodes_of, run_of
from worker.runs.store import RunStore
from worker.runs.tables import runs

log = structlog.get_logger()

LOOK_SECONDS = 1.0
CALL_SECONDS = 10
LEASE_MS = 60_000
"""How long a worker has for its calls, until another one tries."""
LONGEST_PAUSE_SECONDS = 600

TOGETHER = 20
"""Ends that are told at the same time."""

_STARTED = UUID("0f5e7c1a-3a55-5d8e-9d3e-5b8f0a3a7a11")

Tell = Callable[[Run], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Due:
    """The end of a run, which is ours to tell until the lease is over."""

    number: int
    tries: int
    lease: int
    """ms since the epoch."""
    run: Run


class Notices:
    """Tells each end of a run of one topology."""

    def __init__(
        self, recorder: Recorder, publisher: Outlet, topology_id: str, *, webhook: str | None, start_node: str | None
    ) -> None:
        """`webhook` is a URL, `start_node` the id of a node of another topology."""
        self._recorder = recorder
        self._publisher = publisher
        self._topology_id = topology_id
        self._webhook = webhook
        self._start_node = start_node
        self._client = httpx.AsyncClient(timeout=CALL_SECONDS, trust_env=False)

    async def run(self) -> None:
        """Tell what is due, until cancelled."""
        async with self._client:
            while True:
                if await self._tell_some() < TOGETHER:
                    await asyncio.sleep(LOOK_SECONDS)

    async def _tell_some(self) -> int:
        now = now_ms()
        try:
            due = await self._recorder.call(claim_due, self._recorder.store, self._topology_id, now, now + LEASE_MS)
            await asyncio.gather(*(self._tell(one) for one in due))
        except StoreError as error:
            log.debug("ends_of_processes_unknown", cause=str(error))
            return 0
        return len(due)

    async def _tell(self, due: Due) -> None:
        again_at = None
        try:
            async with asyncio.timeout(LEASE_MS / 2000):
                await self._call_webhook(due.run)
                await self._start_topology(due.run)
        except (httpx.HTTPError, httpx.InvalidURL, PublishRefused, TimeoutError) as error:
            pause = back_off(due.tries, longest=LONGEST_PAUSE_SECONDS)
            log.warning(
                "end_of_process_not_told",
                correlationId=due.run.correlation_id,
                cause=f"{type(error).__name__}: {error}",
                retry_in_seconds=round(pause, 1),
            )
            again_at = now_ms() + int(pause * 1000)
        await self._recorder.call(finish_due, self._recorder.store, due, again_at)

    async def _call_webhook(self, run: Run) -> None:
        if self._webhook:
            answer = await self._client.post(self._webhook, json=run.document(now_ms()))
            if not answer.is_success:
                raise httpx.HTTPStatusError(f"status {answer.status_code}", request=answer.request, response=answer)

    async def _start_topology(self, run: Run) -> None:
        if self._start_node and run.state is RunState.FINISHED:
            exchange = exchange_of(self._start_node)
            message = Publication(exchange, ROUTING_KEY, start_message(run))
            await self._publisher.publish((message,), is_patient=False)


def start_message(run: Run) -> bytes:
    """Return the first message of the run that follows. Its ids are derived: told twice, it is the same run."""
    told = f"{run.correlation_id} {run.ended}"
    ids = RunIds(str(uuid5(_STARTED, told)), str(uuid5(_STARTED, f"{told} first")))
    headers = start_headers(ids, None, run.user or None, {h.PREVIOUS_CORRELATION_ID: run.correlation_id})
    return encode(headers, msgspec.json.encode(run.document(now_ms())).decode())


def claim_due(store: RunStore, topology_id: str, now: int, lease: int) -> list[Due]:
    """Take some of the ends that are due; until `lease` (ms) nobody else gets them."""
    wanted = {"topology": topology_id, "now": now, "lease": lease, "limit": TOGETHER}
    with store.transaction(is_writing=True) as connection:
        claimed = {row.number: row.notice_tries for row in connection.exec_driver_sql(store.sql.claim_notices, wanted)}
        rows = connection.execute(select(runs).where(runs.c.number.in_(claimed))).mappings().all()
        found = [(row["number"], replace(run_of(row), nodes=nodes_of(connection, row))) for row in rows]
    return [Due(number, claimed[number], lease, run) for number, run in found]


def finish_due(store: RunStore, due: Due, again_at: int | None) -> None:
    """Note that somebody was told, or when to try again (ms), unless the run has ended again meanwhile."""
    ours = (runs.c.number == due.number, runs.c.notice_due == due.lease)
    with store.transaction(is_writing=True) as connection:
        connection.execute(update(runs).where(*ours).values(notice_due=again_at))
