"""Which store a URL means."""

from connectors.storage import Storage, Store
from worker.trash.opening import POSTGRESQL, SQLITE

REDIS = frozenset({"redis", "rediss", "unix"})
DEFAULT_URL = "sqlite:///var/storage.sqlite"


def check_storage_url(url: str) -> None:
    """Raise `ValueError` that says how the URL of a storage looks, when this is none."""
    scheme, _, rest = url.partition("://")
    is_file = scheme == SQLITE and rest.startswith("/") and rest != "/"
    if not (is_file or (scheme in POSTGRESQL | REDIS and rest)):
        raise ValueError("must be sqlite:///path, postgresql://user:password@host/database or redis://host:6379/0")


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
