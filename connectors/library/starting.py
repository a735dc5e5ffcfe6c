"""`{topology}-{node}-run-topology`: start a topology by its name."""

import re
from typing import Any, Final

from connectors.action import Connector
from connectors.kind import Kind
from connectors.message import Message

_NAME: Final = re.compile("(.+)-([^-]+)-run-topology")


class RunTopology(Connector[Any, Any]):
    """Starts a topology with the message's body, for its user, and passes the message on."""

    def __init__(self, topology: str, node: str = "start") -> None:
        """Topology and node by name."""
        self.topology, self.node = topology, node
        self.name = f"{topology}-{node}-run-topology"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Start the topology."""
        await self.topologies.start(message, self.topology, self.node)
        return message


def run_topology(kind: Kind, name: str) -> RunTopology | None:
    """Return the connector that the name means: what is behind the last dash but two is the node."""
    found = _NAME.fullmatch(name) if kind is Kind.CONNECTOR else None
    return RunTopology(found[1], found[2]) if found else None
