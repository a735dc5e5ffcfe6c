"""Keeping entries: the trash has each one before its message is acknowledged."""

import asyncio
from dataclasses import replace

import structlog

from worker.patience import Patience
from worker.trash.entry import Entry
from worker.trash.store import STORE_ERRORS, TrashStore

log = structlog.get_logger()

STORE_SECONDS = 60
"""How long the trash may take for one entry."""


class Keeper:
    """Puts entries into the trash, however long that is away."""

    def __init__(self, store: TrashStore, patience: Patience) -> None:
        self.store = store
        self._patience = patience

    async def keep(self, entry: Entry) -> Entry:
        """Return the entry with the id under which the trash has it. Raises `HandBack` when the worker stops before."""
        kept_as = await self._patience.until_answered(lambda: self._add(entry), errors=STORE_ERRORS, told=_away)
        if kept_as != entry.id:
            log.warning("trash_flooded", countedOn=kept_as, consequence="counted, its body is not kept")
        return replace(entry, id=kept_as)

    async def keep_bytes(self, entry: Entry) -> None:
        """Keep the bytes of a message that something has failed on. Whatever the store raises, it is asked again."""
        await self._patience.until_answered(lambda: self._add(entry), errors=Exception, told=_away)

    async def _add(self, entry: Entry) -> str:
        async with asyncio.timeout(STORE_SECONDS):
            return await self.store.add(entry)


def _away(error: Exception, seconds: float) -> None:
    log.error(
        "trash_away",
        cause=str(error) or f"no answer within {STORE_SECONDS} s",
        consequence="the message waits in the broker",
        retry_in_seconds=round(seconds, 1),
    )
