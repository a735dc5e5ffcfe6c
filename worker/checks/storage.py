"""Check of the data storage: can it be reached."""

from connectors.errors import StorageAway
from worker.checks.finding import Finding, failed, ok
from worker.checks.trash import check_file, sqlite_path
from worker.storage import open_storage
from worker.trash.opening import shown_url

CURE = "Start it, or correct WORKER_STORAGE_URL (WORKER_DATABASE_URL)."


async def check_storage(url: str) -> Finding:
    """Reach the storage without changing anything there."""
    if url.startswith("sqlite") and (path := sqlite_path(url)) is not None:
        return check_file(path, "storage", "WORKER_STORAGE_URL")
    storage = open_storage(url)
    try:
        await storage.ping()
    except StorageAway as error:
        return failed("storage", f"{shown_url(url)}: {error}", CURE)
    finally:
        await storage.close()
    return ok("storage", f"{shown_url(url)} answers")
