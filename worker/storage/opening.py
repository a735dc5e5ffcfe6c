"""Which store a URL means."""

from connectors.storage import Storage, Store
from worker.urls import REDIS, check_storage_url


def open_storage(url: str) -> Storage:
    """Return the storage at this URL; it connects when it is first used. Raises `ValueError` for another URL."""
    check_storage_url(url)
    return Storage(_open_store(url))


def _open_store(url: str) -> Store:
    # Imported here: each driver takes its time, and only one of them is needed.
    if url.partition("://")[0] in REDIS:
        from worker.storage.redis import RedisStore  # noqa: PLC0415 - see above

        return RedisStore(url)
    from worker.storage.sql import SqlStore  # noqa: PLC0415 - see above

    return SqlStore(url)
