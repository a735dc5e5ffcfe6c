"""The services around the worker that a message meets: where it waits, who counts it, who hears of the trash."""

from typing import Protocol

from worker.protocol.message import Visit
from worker.protocol.topology import Node
from worker.protocol.transport import Publication
from worker.trash.entry import Entry


class Parking(Protocol):
    """Chooses the way of a message that comes back to its node later."""

    def repeat(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back after this time."""

    def limit(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back when its limit allows."""


class Counter(Protocol):
    """Chooses the way of reports."""

    def report(self, visit: Visit, body: bytes) -> Publication:
        """Return the message with this report."""


class TrashNotice(Protocol):
    """Tells others that a message went to the trash."""

    async def publication(self, visit: Visit, entry: Entry) -> Publication | None:
        """Make the notice; what is returned is to be published."""

    async def close(self) -> None:
        """Close what was opened."""
