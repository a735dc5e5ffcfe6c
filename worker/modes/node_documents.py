"""The documents of nodes: in the platform's MongoDB, and behind its worker-api."""

from collections.abc import Mapping, Sequence
from typing import Final

from bson import ObjectId
from bson.errors import BSONError
from pymongo.errors import PyMongoError

from worker.documents.client import Collection, DocumentClient, DocumentsAway
from worker.errors import StoreError
from worker.trash.collections import client_of, database_of

CONFIGS: Final = "systemConfigs"


class MongoNodes:
    """The documents of nodes in the platform's MongoDB."""

    def __init__(self, url: str) -> None:
        """The database is the one that `url` names, else `orchesty`."""
        self._client = client_of(url)

    async def configs(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the settings of these nodes, JSON texts by id, as far as there are any. Raises `StoreError`."""
        own = [ObjectId(one) if ObjectId.is_valid(one) else one for one in ids]
        try:
            found = database_of(self._client)[Collection.NODES.value].find({"_id": {"$in": own}}, {CONFIGS: 1})
            return {str(one["_id"]): one[CONFIGS] async for one in found if isinstance(one.get(CONFIGS), str)}
        except (PyMongoError, BSONError) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class WorkerApiNodes:
    """The documents of nodes behind the platform's worker-api."""

    def __init__(self, url: str, key: str) -> None:
        self._client = DocumentClient(url, key)

    async def configs(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the settings of these nodes, JSON texts by id, as far as there are any. Raises `StoreError`."""
        own = [one for one in ids if ObjectId.is_valid(one)]
        try:
            found = await self._client.find(Collection.NODES, {"ids": own}, is_fresh=True)
        except DocumentsAway as error:
            raise StoreError(str(error)) from error
        return {str(one["_id"]): one[CONFIGS] for one in found if isinstance(one.get(CONFIGS), str)}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
