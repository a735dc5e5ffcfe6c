"""Settings of what is stored: where, unless each kind has a place of its own."""

from pydantic import Field

from worker.errors import SettingsError
from worker.settings.values import Address, RedisAddress, StorageAddress, StoreAddress, Values


class StoreSettings(Values):
    """The databases. What has no URL is a file in `var/`."""

    database_url: StoreAddress | None = Field(
        None,
        description="The database for everything that is stored and has no URL of its own: "
        "`postgresql://user:password@host/database`, or `sqlite:///path`.",
    )
    redis_url: RedisAddress | None = Field(
        None,
        description="Redis, `redis://:password@host:6379/0` or `rediss://`: keeps the limits of all workers "
        "and the keys of nodes with `deduplicate`. Unset: each process keeps its own limits, which is right for a "
        "single process, and keys are in `WORKER_DATABASE_URL`, otherwise in `sqlite:///var/deduplication.sqlite`.",
    )
    installs_url: Address | None = Field(
        None,
        description="The database of the installs of applications: `sqlite:///path` or "
        "`postgresql://user:password@host/database`. Unset: `WORKER_DATABASE_URL`, otherwise "
        "`sqlite:///var/installs.sqlite`.",
    )
    storage_url: StorageAddress | None = Field(
        None,
        description="The data storage of actions: `sqlite:///path`, `postgresql://user:password@host/database` or "
        "`redis://host:6379/0`. Workers that share a topology have to share it. Unset: `WORKER_DATABASE_URL`, "
        "otherwise `sqlite:///var/storage.sqlite`.",
    )

    @property
    def marks_address(self) -> str:
        """The URL of what `deduplicate` remembers, with its password. Raises `SettingsError` for a MongoDB."""
        chosen = self.redis_url or self.database_url
        url = chosen.get_secret_value() if chosen else self._own_file("deduplication")
        if url.startswith("mongodb"):
            raise SettingsError(
                "a node has `deduplicate`, which a MongoDB in WORKER_DATABASE_URL cannot serve: set WORKER_REDIS_URL, "
                "or give it PostgreSQL or SQLite, and the MongoDB to WORKER_TRASH_URL"
            )
        return url

    @property
    def storage_address(self) -> str:
        """The URL of the data storage, with its password."""
        if self.storage_url is not None:
            return self.storage_url.get_secret_value()
        shared = self.database_url.get_secret_value() if self.database_url else ""
        return self._own_file("storage") if not shared or shared.startswith("mongodb") else shared

    @property
    def installs_address(self) -> str:
        """The URL of the installs, with its password."""
        chosen = self.installs_url or self.database_url
        return chosen.get_secret_value() if chosen else self._own_file("installs")

    def _own_file(self, name: str) -> str:
        return f"sqlite:///{self._folder}/var/{name}.sqlite"
