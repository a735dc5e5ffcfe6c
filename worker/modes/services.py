"""The services around the worker that a message meets: where it waits, who counts it, who hears of its end."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from worker.prometheus import Family
from worker.protocol.message import Visit
from worker.protocol.topology import Node, Repeater
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


class TrashNotifier(Protocol):
    """Tells others that a message went to the trash."""

    async def publication(self, visit: Visit, entry: Entry) -> Publication | None:
        """Make the notice; what is returned is to be published."""

    async def close(self) -> None:
        """Close what was opened."""


class Beside(Protocol):
    """Works beside the messages, in the background."""

    async def run(self) -> None:
        """Work until cancelled."""

    async def finish(self) -> None:
        """Do the rest of the work, within two seconds."""

    def families(self) -> Iterable[Family]:
        """Return the metrics."""

    async def close(self) -> None:
        """Close what was opened."""


class Figures(Beside, Protocol):
    """Hears how long messages take at their nodes. It takes what it hears at once, and never makes a message wait."""

    def ended(self, visit: Visit, began: int, *, is_success: bool) -> None:
        """Hear of a message that has ended here, whose work began at this time, in ms."""


class Entities(Beside, Protocol):
    """Keeps the entities of the business audit."""

    async def noted(self, headers: Mapping[str, Any], *, is_last: bool) -> Mapping[str, Any]:
        """Keep the entities that the headers name, and return the headers for what is sent on.

        `is_last`: no other node will see them. Raises nothing, and makes no message wait longer than two seconds.
        """


class Repeaters(Beside, Protocol):
    """Knows what people set for nodes that run."""

    async def begin(self) -> None:
        """Find out before the first message comes. Returns within two seconds, whatever is away."""

    @property
    def by_node(self) -> Mapping[str, Repeater]:
        """Return the repeat settings that hold now, by node id; they win over those of the topology file."""


class Installation(Beside, Protocol):
    """Knows the limits of the installation."""

    @property
    def exceeded(self) -> str:
        """Say which limit is exceeded now; empty: none."""
