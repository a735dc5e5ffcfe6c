"""Starting another topology from an action: `await self.topologies.start(message, "invoices")`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from connectors.message import Message, json_text


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be started."""

    topology: str
    node: str
    by_id: bool
    """Whether topology and node are ids; else names."""
    body: str
    user: str
    by: Mapping[str, Any]
    """The headers of the message whose action starts it; without a message at most the `sdk`."""


class Starter(Protocol):
    """Starts a topology: the platform's starting point, or the broker."""

    async def start(self, start: Start) -> None:
        """Return when the new run is accepted.

        Raises `Repeat` when nobody answers and `Trash` when there is no such topology or node.
        """

    async def close(self) -> None:
        """Close the connections."""


class Topologies:
    """Other topologies, as actions see them."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter

    async def start(
        self,
        message: Message[Any],
        topology: str,
        node: str = "start",
        *,
        by_id: bool = False,
        data: Any = None,
        user: str | None = None,
    ) -> None:
        """Start a topology at a node, both by name, or both by id.

        The new run gets `data` as its JSON body, or the message's body when there is none, and the message's user
        unless another is named. Raises `Repeat` when nobody answers and `Trash` when there is no such
        topology or node. A message that is delivered twice starts twice; in standalone mode both have the same ids.
        """
        body = message.body if data is None else json_text(data)
        own = str(message.headers.get("user") or "") if user is None else user
        await self._starter.start(Start(topology, node, by_id, body, own, message.headers))

    async def start_anew(
        self,
        topology: str,
        node: str = "start",
        *,
        by_id: bool = False,
        data: Any = None,
        user: str = "",
        sdk: str = "",
    ) -> None:
        """Start a topology where there is no message, in a method of an application; raises as `start`."""
        body = "{}" if data is None else json_text(data)
        await self._starter.start(Start(topology, node, by_id, body, user, {"sdk": sdk} if sdk else {}))
