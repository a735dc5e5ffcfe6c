"""Which store a URL means."""

from worker.trash.store import TrashStore
from worker.urls import MONGODB, check_url

DEFAULT_FLOOD_LIMIT = 1000
USER_TASKS = "UserTask"


def open_trash(url: str, flood_limit: int = DEFAULT_FLOOD_LIMIT, collection: str = USER_TASKS) -> TrashStore:
    """Return the store of this URL; it connects when it is first used.

    At most `flood_limit` equal open entries are stored in full, 0 means all. `collection` is that of a MongoDB.
    Raises `ValueError` for another URL.
    """
    check_url(url)
    # Imported here: each driver takes its time, and only one of them is needed.
    if url.partition("://")[0] in MONGODB:
        from worker.trash.mongo import MongoTrash  # noqa: PLC0415 - see above

        return MongoTrash(url, flood_limit, collection)
    from worker.trash.sql import SqlTrash  # noqa: PLC0415 - see above

    return SqlTrash(url, flood_limit)
