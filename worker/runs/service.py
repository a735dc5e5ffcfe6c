"""All that a worker does for the state of runs, as one part of its life."""

import asyncio
from typing import Protocol

from worker.broker.publisher import Publisher
from worker.errors import SettingsError
from worker.protocol.topology import Topology
from worker.runs.following import Runs, UncountedRuns
from worker.settings.settings import Settings


class RunService(Protocol):
    """Counting, and what follows from it, beside the consumers."""

    @property
    def runs(self) -> Runs:
        """What the way of a message tells."""

    @property
    def is_counting(self) -> bool:
        """Whether runs are counted here."""

    async def run(self) -> None:
        """Work until cancelled."""

    def stop_waiting(self) -> None:
        """Hand back what waits for a database that is away."""

    async def close(self) -> None:
        """Close the connections."""


class NoService:
    """Runs are counted elsewhere, or not at all."""

    runs: Runs = UncountedRuns()
    is_counting = False

    async def run(self) -> None:
        """Do nothing."""

    def stop_waiting(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class CountingService:
    """Runs are counted in a database."""

    is_counting = True

    def __init__(self, settings: Settings, topology: Topology, publisher: Publisher) -> None:
        """Connects when the first message comes."""
        # Imported here: SQLAlchemy takes its time.
        from worker.runs.notices import Notices  # noqa: PLC0415 - see above
        from worker.runs.recorder import Recorder  # noqa: PLC0415 - see above
        from worker.runs.store import RunStore  # noqa: PLC0415 - see above

        self._keep_days = settings.process_keep_days
        webhook = settings.finished_webhook.get_secret_value() if settings.finished_webhook else None
        is_told = bool(webhook or settings.finished_start)
        if any(node.id == settings.finished_start for node in topology.nodes):
            raise SettingsError("WORKER_FINISHED_START names a node of this topology: its runs would never cease")
        self._recorder = Recorder(RunStore(settings.process_address), topology, wants_notice=is_told)
        self._notices = (
            Notices(self._recorder, publisher, topology.id, webhook=webhook, start_node=settings.finished_start)
            if is_told
            else None
        )

    @property
    def runs(self) -> Runs:
        """The recorder."""
        return self._recorder

    async def run(self) -> None:
        """Write and tidy until cancelled."""
        from worker.runs.housekeeping import keep_tidy  # noqa: PLC0415 - as above

        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="process state")
            group.create_task(keep_tidy(self._recorder, self._keep_days), name="tidy process state")
            if self._notices is not None:
                group.create_task(self._notices.run(), name="tell ends of processes")

    def stop_waiting(self) -> None:
        """Hand back what waits for a database that is away."""
        self._recorder.stop_waiting()

    async def close(self) -> None:
        """Close the connections."""
        await self._recorder.close()
