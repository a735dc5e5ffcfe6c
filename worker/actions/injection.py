"""What the worker gives its actions: HTTP client, data storage, installs, other topologies, connections."""

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
        topologies, installs = Topologies(starter), UserInstalls(accounts)
        if accounts is not None:
            accounts.join(known_applications(registry), topologies.start_anew)

        def bind(action: AnyAction) -> None:
            action.bind(
                http=registry.http, storage=storage, topologies=topologies, installs=installs, clients=self._clients
            )

        registry.equip(bind)

    async def close(self) -> None:
        """Close what was opened."""
        await self._storage.close()
        await self._starter.close()
        await self._clients.close()
