"""What differs between the modes: who brings messages back, keeps limits, counts, and is told what became of them."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from connectors.topologies import Starter
from worker.actions.registry import Registry
from worker.broker.surroundings import Surroundings
from worker.limits.gate import Gate
from worker.modes.services import Counter, Entities, Figures, Installation, Parking, Repeaters, TrashNotifier
from worker.protocol.topology import Node, Topology
from worker.protocol.transport import Outlet
from worker.runs.service import RunService
from worker.trash.store import TrashStore

AGAIN_AFTER = timedelta(seconds=30)
"""When a start is tried again that nobody has taken."""


class Mode(Protocol):
    """Makes the parts of a worker that differ. Nothing is opened before a part is used."""

    @property
    def shows_runs(self) -> bool:
        """Whether our commands show runs, not pages of the platform."""

    @property
    def is_ended_over_http(self) -> bool:
        """Whether the platform ends the worker by a request."""

    @property
    def surroundings(self) -> Surroundings:
        """Return what stands in the broker beside the nodes' queues."""

    def parking(self) -> Parking:
        """Return who brings messages back."""

    def gate(self, nodes: Sequence[Node], registry: Registry, processes: Callable[[], int | None]) -> Gate:
        """Return who keeps limits; `processes` as in `UnsharedReservations`. Raises `SettingsError`."""

    def runs(self, topology: Topology, publisher: Outlet) -> RunService:
        """Return who counts runs in a database. Raises `SettingsError`."""

    def counter(self) -> Counter | None:
        """Return who gets a report of each message; None: nobody, as they are counted in a database."""

    def figures(self) -> Figures | None:
        """Return who hears how long messages take at their nodes, if anybody wants to."""

    def entities(self) -> Entities | None:
        """Return who keeps the entities of messages, if anybody does."""

    def repeaters(self, nodes: Sequence[Node]) -> Repeaters | None:
        """Return who knows what people set for these nodes while they run, if anybody does."""

    def installation(self, store: TrashStore, publisher: Outlet) -> Installation | None:
        """Return who knows the limits of the installation, if it has any; that of the trash is set at `store`."""

    def notifier(self) -> TrashNotifier:
        """Return who is told of the trash."""

    def starter(self, topology: Topology, publisher: Outlet) -> Starter:
        """Return who starts other topologies for actions."""
