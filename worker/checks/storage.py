"""Check of the data storage: can it be reached, and has it its tables."""

from connectors.errors import StorageAway
from worker.checks.finding import Finding, failed, ok
from worker.checks.tables import check_tables
from worker.storage import open_storage
from worker.storage.opening import REDIS
from worker.storage.tables import CHAIN, chunks
from worker.urls import shown_url

VARIABLE = "WORKER_STORAGE_URL"


async def check_storage(url: str) -> Finding:
    """Reach the storage without changing anything there."""
    if url.partition("://")[0] not in REDIS:
        return check_tables("storage", url, CHAIN, chunks, VARIABLE)
    storage = open_storage(url)
    try:
        await storage.ping()
    except StorageAway as error:
        return failed("storage", f"{shown_url(url)}: {error}", f"Start it, or correct {VARIABLE}.")
    finally:
        await storage.close()
    return ok("storage", f"{shown_url(url)} answers")
