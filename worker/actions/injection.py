"""What the worker gives its actions besides the HTTP client: data storage, installs, other topologies, connections."""

from typing import TYPE_CHECKING

from applications.user_installs import UserInstalls
from connectors.clients import Clients
from connectors.storage import Storage
from connectors.topologies import Starter, Topologies
from worker.actions.catalogue import known_applications
from worker.actions.registry import AnyAction, Registry

if TYPE_CHECKING:
    from applications.accounts import Accounts


class Injection:
    """Shared by all actions of the process. Nothing is opened before an action uses it."""

    def __init__(
        self, registry: Registry, storage: Storage, starter: Starter, accounts: "Accounts | None" = None
    ) -> None:
        """Methods of the `accounts`' applications get what they need, too."""
        self._storage = storage
        self._starter = starter
        self._clients = Clients()
        self._topologies = Topologies(starter)
        self._installs = UserInstalls(accounts)
        if accounts is not None:
            accounts.join(known_applications(registry), self._topologies.start_anew)
        registry.equip(self._give)

    def _give(self, action: AnyAction) -> None:
        action.storage = self._storage
        action.topologies = self._topologies
        action.installs = self._installs
        action.clients = self._clients

    async def close(self) -> None:
        """Close what was opened."""
        await self._storage.close()
        await self._starter.close()
        await self._clients.close()
