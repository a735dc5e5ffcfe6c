"""How long entries are kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from worker.protocol.message import now_ms
from worker.trash.entry import DECIDED, EntryState
from worker.trash.store import STORE_ERRORS, Search, TrashStore

log = structlog.get_logger()

DAY_MS = 24 * 60 * 60 * 1000
HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Retention:
    """Days since the last change after which entries are deleted; 0: never."""

    decided_days: float
    waiting_days: float


async def expired(store: TrashStore, retention: Retention, now: int) -> Sequence[str]:
    """Return the ids of the entries whose time is over at `now` (ms). Claimed entries are never among them."""
    ids: list[str] = []
    waiting = frozenset({EntryState.WAITING})
    for states, days in ((DECIDED, retention.decided_days), (waiting, retention.waiting_days)):
        if days:
            ids += await store.ids(Search(states=states, updated_before=now - int(days * DAY_MS)))
    return ids


async def purge_regularly(store: TrashStore, retention: Retention) -> None:
    """Delete what is over, now and every hour. Several workers may do so at the same time."""
    while retention != Retention(0, 0):
        try:
            ids = await expired(store, retention, now_ms())
            if ids:
                log.info("trash_purged", entries=await store.purge(ids))
        except STORE_ERRORS as error:
            log.warning("trash_not_purged", cause=str(error), retry_in_seconds=HOUR_SECONDS)
        await asyncio.sleep(HOUR_SECONDS)
