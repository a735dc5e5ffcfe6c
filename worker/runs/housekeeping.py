"""What is done with runs after their end: their messages are folded into totals, and one day they are deleted."""

import asyncio
from collections.abc import Callable

import structlog

from worker.errors import StoreError
from worker.protocol.message import now_ms
from worker.runs.recorder import Recorder
from worker.runs.store import TOGETHER

log = structlog.get_logger()

DAY_MS = 24 * 60 * 60 * 1000
EVERY_SECONDS = 20
LATE_MS = 10 * 60 * 1000
"""How long the messages of a run that has ended are remembered one by one, so that duplicates are known."""


async def keep_tidy(recorder: Recorder, keep_days: float) -> None:
    """Fold and delete what is over, in small transactions. Several workers may do so at the same time."""
    while True:
        try:
            await _until_done(recorder, recorder.store.compact, LATE_MS)
            if keep_days:
                await _until_done(recorder, recorder.store.purge, int(keep_days * DAY_MS))
        except StoreError as error:
            log.warning("processes_not_tidied", cause=str(error), retry_in_seconds=EVERY_SECONDS)
        await asyncio.sleep(EVERY_SECONDS)


async def _until_done(recorder: Recorder, step: Callable[[int], int], age_ms: int) -> None:
    """Repeat a step; between two of them others have their turn in the thread."""
    while await recorder.call(step, now_ms() - age_ms) == TOGETHER:
        pass
