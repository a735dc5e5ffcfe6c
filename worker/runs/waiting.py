"""Following one run in the database."""

import asyncio
from collections.abc import Callable

from worker.runs.run import Run
from worker.runs.search import get_runs
from worker.runs.store import RunStore

LOOK_SECONDS = 0.3


async def wait_for_end(store: RunStore, correlation_id: str, on_look: Callable[[Run | None], None]) -> Run:
    """Return the run when it has ended; `on_look` gets it about every third of a second, None while nobody counts it.

    Raises `StoreError` while the database is away.
    """
    while True:
        run = next(iter(await asyncio.to_thread(get_runs, store, correlation_id)), None)
        on_look(run)
        if run is not None and run.is_ended:
            return run
        await asyncio.sleep(LOOK_SECONDS)
