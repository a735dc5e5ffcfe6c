"""What the worker gives its actions besides the HTTP client: data storage, other topologies, connections."""

from connectors.clients import Clients
from connectors.topologies import Starter, Topologies
from worker.actions.registry import Registry
from worker.modes.platform import PlatformStarter
from worker.modes.standalone import BrokerStarter
from worker.protocol.topology import Topology
from worker.protocol.transport import Outlet
from worker.settings.settings import Mode, Settings
from worker.storage.opening import open_storage


class Equipment:
    """Shared by all actions of the process. Nothing is opened before an action uses it."""

    def __init__(self, registry: Registry, settings: Settings, topology: Topology, publisher: Outlet) -> None:
        self._storage = open_storage(settings.storage_address)
        self._starter = _starter(settings, topology, publisher)
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


def _starter(settings: Settings, topology: Topology, publisher: Outlet) -> Starter:
    if settings.mode is Mode.STANDALONE:
        return BrokerStarter(topology, settings.topology.parent, publisher)
    key = settings.orchesty_api_key
    return PlatformStarter(settings.starting_point_dsn, key.get_secret_value() if key else "")
