"""Starting a topology from a method of an application."""

from typing import Any, Protocol

from applications.errors import ApplicationError


class StartTopology(Protocol):
    """Starts a topology at a node, both by name, or both by id.

    The new run gets `data` as its JSON body, and the user's installs in the service `sdk`. What is called twice starts
    twice. Raises an error that says what is wrong when nobody takes the start.
    """

    async def __call__(
        self,
        topology: str,
        node: str = "start",
        *,
        by_id: bool = False,
        data: Any = None,
        user: str = "",
        sdk: str = "",
    ) -> None:
        """Return when the new run is accepted."""


async def start_nothing(topology: str, *_: Any, **__: Any) -> None:
    """Raise `ApplicationError`: an application that stands alone knows no topologies."""
    raise ApplicationError(f"cannot start {topology}: this application belongs to no worker")
