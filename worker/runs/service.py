"""All that a worker does for the state of runs, as one part of its life."""

import asyncio
from typing import Protocol

from worker.protocol.topology import Topology
from worker.protocol.transport import Outlet
from worker.runs.following import Runs, UncountedRuns


class RunService(Protocol):
    """Counting, and what follows from it, beside the consumers."""

    @property
    def runs(self) -> Runs:
        """What the way of a message tells."""

    async def run(self) -> None:
        """Work until cancelled."""

    def stop_waiting(self) -> None:
        """Hand back what waits for a database that is away."""

    async def close(self) -> None:
        """Close the connections."""


class NoService:
    """Runs are counted elsewhere, or not at all."""

    runs: Runs = UncountedRuns()

    async def run(self) -> None:
        """Do nothing."""

    def stop_waiting(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


class CountingService:
    """Runs are counted in a database."""

    def __init__(
        self, url: str, topology: Topology, publisher: Outlet, *,
        keep_days: float, webhook: str | None, start_node: str | None,
    ) -> None:  # fmt: skip
        """Connects when the first message comes.

        `webhook` is a URL that is called, `start_node` the id of a node that is started when a run ends.
        """
        # Imported here: SQLAlchemy takes its time.
        from worker.runs.notices import Notices  # noqa: PLC0415 - see above
        from worker.runs.recorder import Recorder  # noqa: PLC0415 - see above
        from worker.runs.store import RunStore  # noqa: PLC0415 - see above

        self._keep_days = keep_days
        is_told = bool(webhook or start_node)
        self._recorder = Recorder(RunStore(url), topology, wants_notice=is_told)
        self._notices = (
            Notices(self._recorder, publisher, topology.id, webhook=webhook, start_node=start_node) if is_told else None
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
