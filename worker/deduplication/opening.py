"""Which store of marks a URL means."""

from urllib.parse import urlsplit

from worker.deduplication.marks import Marks

REDIS = frozenset({"redis", "rediss", "unix"})


def open_marks(url: str) -> Marks:
    """Return the store of this URL: Redis, PostgreSQL or SQLite. It connects when it is first used."""
    # Imported here: each driver takes its time, and only one of them is needed.
    if urlsplit(url).scheme in REDIS:
        from worker.deduplication.redis import RedisMarks  # noqa: PLC0415 - see above

        return RedisMarks(url)
    from worker.deduplication.sql import SqlMarks  # noqa: PLC0415 - see above

    return SqlMarks(url)
