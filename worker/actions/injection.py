"""What the worker gives its actions besides the HTTP client: data storage, other topologies, connections."""

from connectors.clients import Clients
from connectors.storage import Storage
from connectors.topologies import Starter, Topologies
from worker.actions.registry import Registry


class Injection:
    """Shared by all actions of the process. Nothing is opened before an action uses it."""

    def __init__(self, registry: Registry, storage: Storage, starter: Starter) -> None:
        self._storage = storage
        self._starter = starter
        self._clients = Clients()
        topologies = Topologies(self._starter)
        for action in registry:
            action.storage = self._storage
            action.topologies = topologies
            action.clients = self._clients

    async def close(self) -> None:
        """Close what was opened."""
        await self._storage.close()
        await self._starter.close()
        await self._clients.close()
