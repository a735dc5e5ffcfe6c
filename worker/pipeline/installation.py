"""The stage that keeps within the limits of the installation."""

from collections.abc import Awaitable
from dataclasses import dataclass

from connectors import Trash
from worker.modes.services import Installation
from worker.pipeline.decisions import Decided, Way
from worker.protocol import headers as h
from worker.protocol.message import Visit


@dataclass(frozen=True, slots=True)
class Within:
    """Puts messages into the trash while a limit is exceeded, but for those by which people are told of it."""

    installation: Installation

    def stage(self, visit: Visit, call_next: Way) -> Awaitable[Decided]:
        """Go on where nothing is exceeded."""
        exceeded = self.installation.exceeded
        return self._trashed(visit, exceeded) if exceeded and not _is_of_system(visit) else call_next(visit)

    async def _trashed(self, visit: Visit, exceeded: str) -> Decided:
        return Decided(visit, Trash(exceeded))


def _is_of_system(visit: Visit) -> bool:
    return visit.headers.text(h.SYSTEM_EVENT) == "true"
