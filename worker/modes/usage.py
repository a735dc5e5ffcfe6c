"""How much an installation uses, as the platform's metrics collector writes it."""

from typing import Any, Final

from pymongo import DESCENDING, AsyncMongoClient

from worker.modes.figures import DEFAULT_DATABASE
from worker.trash.collections import client_of, database_of
from worker.trash.documents import Document

STORAGE: Final = ("db_storage_metrics", "storage_size_mb")
BROKER: Final = ("rabbitmq_metrics", "total_disk_mb")
LOGS: Final = ("loki_retention_metrics", "total_data_size_mb")
BROKERS_MESSAGES: Final = ("rabbitmq_metrics", "total_messages")


class Usage:
    """Reads the latest figures; what nobody has written counts as 0. Methods raise what the driver raises."""

    def __init__(self, metrics_url: str | None, platforms_url: str | None, limiter_collection: str) -> None:
        """`metrics_url` leads to the figures, `platforms_url` to the messages that the limiter holds."""
        self._metrics = None if metrics_url is None else client_of(metrics_url)
        self._platforms = None if platforms_url is None else client_of(platforms_url)
        self._limiter_collection = limiter_collection

    async def storage_mb(self) -> float:
        """Return the megabytes of the databases, the broker and the logs."""
        return sum([await self._latest(*figure) for figure in (STORAGE, BROKER, LOGS)])

    async def messages(self) -> float:
        """Return how many messages the broker and the limiter have."""
        held = 0
        if self._platforms is not None:
            held = await database_of(self._platforms)[self._limiter_collection].count_documents({})
        return held + await self._latest(*BROKERS_MESSAGES)

    async def close(self) -> None:
        """Close the connections."""
        for client in (self._metrics, self._platforms):
            if client is not None:
                await client.close()

    async def _latest(self, collection: str, field: str) -> float:
        if self._metrics is None:
            return 0
        found = await _database(self._metrics)[collection].find_one({}, sort=[("timestamp", DESCENDING)])
        value = (found or {}).get(field, 0)
        return float(value) if isinstance(value, int | float) else 0


def _database(client: AsyncMongoClient[Document]) -> Any:
    return client.get_default_database(DEFAULT_DATABASE)
