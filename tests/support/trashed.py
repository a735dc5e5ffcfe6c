"""The only entry of a worker's trash."""

from support.waiting import eventually
from support.workers import InProcess
from worker.trash.entry import Entry


async def trashed(worker: InProcess) -> Entry:
    async def only() -> Entry | None:
        found = await worker.worker.handler.trash.store.waiting()
        return found[0] if found else None

    return await eventually(only, what="an entry in the trash")
