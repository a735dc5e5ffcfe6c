"""Which store a URL means."""

from connectors.caching import Cache
from connectors.comparing import Comparing
from connectors.storage import Storage
from worker.urls import REDIS, check_storage_url

ANSWER_SECONDS = 30


def open_storage(url: str) -> Storage:
    """Return the storage at this URL; it connects when it is first used. Raises `ValueError` for another URL."""
    check_storage_url(url)
    return _in_redis(url) if url.partition("://")[0] in REDIS else _in_sql(url)


# Imported in the functions: each driver takes its time, and only one of them is needed.


def _in_redis(url: str) -> Storage:
    from worker.database.redis import open_redis  # noqa: PLC0415 - see above
    from worker.storage.caching.redis import RedisCache  # noqa: PLC0415 - see above
    from worker.storage.comparing.redis import RedisComparisons  # noqa: PLC0415 - see above
    from worker.storage.redis import RedisStore  # noqa: PLC0415 - see above

    redis = open_redis(url, answer_seconds=ANSWER_SECONDS, decodes=False)
    return Storage(RedisStore(redis), Comparing(RedisComparisons(redis)), Cache(RedisCache(redis)))


def _in_sql(url: str) -> Storage:
    from worker.storage.caching.sql import SqlCache  # noqa: PLC0415 - see above
    from worker.storage.comparing.sql import SqlComparisons  # noqa: PLC0415 - see above
    from worker.storage.database import StorageDatabase  # noqa: PLC0415 - see above
    from worker.storage.sql import SqlStore  # noqa: PLC0415 - see above

    database = StorageDatabase(url)
    return Storage(SqlStore(database), Comparing(SqlComparisons(database)), Cache(SqlCache(database)))
