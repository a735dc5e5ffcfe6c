"""The life of the supervisor: its processes, its HTTP, its end."""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from worker.app.ends import Ends
from worker.app.http_api import tls_of
from worker.broker.removal import delete_topology
from worker.doors.server import listening
from worker.errors import StartupError
from worker.modes.opening import open_mode
from worker.protocol.topology_file import load_topology
from worker.service.service import callers_of
from worker.settings.environment import environment_of
from worker.settings.settings import Settings
from worker.supervisor.changes import watch_changes
from worker.supervisor.child import Child
from worker.supervisor.front import Front

log = structlog.get_logger()

LONGEST_SOCKET_PATH = 107
"""In bytes; a limit of Linux."""
_CURE = "Set TMPDIR to a short path that can be written, such as /tmp."


class Supervisor:
    """Keeps `settings.processes` worker processes running until it is told to stop."""

    def __init__(self, settings: Settings, *, is_reloading: bool = False) -> None:
        """With `is_reloading` the processes are restarted when a file of the actions or the topology changes."""
        self._settings = settings
        self._is_reloading = is_reloading
        self._is_stopping = False
        self._children: Sequence[Child] = ()
        self._have_ended = asyncio.Event()

    async def run(self) -> int:
        """Work until `stop`, or until a process cannot start. Return the worst of the processes' exit statuses.

        Raises `StartupError` when the address of the HTTP answers, or a folder for sockets, cannot be had.
        """
        with _socket_folder(self._settings.processes) as folder:
            environment, grace = environment_of(self._settings), self._settings.grace
            self._children = [
                Child(number, environment, folder, grace, awaits_changes=self._is_reloading)
                for number in range(1, self._settings.processes + 1)
            ]
            ends = Ends(self.stop, self.destroy) if open_mode(self._settings).is_ended_over_http else None
            settings = self._settings
            front = Front(self._children, lambda: self._is_stopping, settings.platform_key, callers_of(settings), ends)
            async with (
                front.application() as application,
                listening(application, settings.http_host, settings.http_port, grace, tls=tls_of(settings)),
            ):
                try:
                    await self._run_children()
                finally:
                    self._have_ended.set()
        return max(child.status for child in self._children)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Pass the signal on to all processes; they end as a single one does."""
        self._is_stopping = True
        for child in self._children:
            child.stop(number)

    async def destroy(self) -> None:
        """Stop, and return when the topology has nothing on the broker any more. Raises `BrokerError`."""
        self.stop()
        await self._have_ended.wait()
        topology, settings = load_topology(self._settings.topology), self._settings
        await delete_topology(settings.broker_address(topology.amqp_url), topology, open_mode(settings).surroundings)

    async def _run_children(self) -> None:
        watching = asyncio.ensure_future(watch_changes(self._settings, self._restart)) if self._is_reloading else None
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._children:
                    group.create_task(self._keep(child), name=f"worker {child.number}")
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.wait([watching])

    async def _keep(self, child: Child) -> None:
        await child.run()
        if not self._is_stopping:
            log.error("worker_process_cannot_start", worker=child.number, consequence="all worker processes stop")
            self.stop()

    def _restart(self, changed: Sequence[str]) -> None:
        log.info("files_changed", files=changed, consequence="the worker processes restart")
        for child in self._children:
            child.restart()


@contextmanager
def _socket_folder(processes: int) -> Iterator[Path]:
    """Make a folder that only we can enter. Raises `StartupError` when none can be made, or its path is too long."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(TemporaryDirectory(prefix="orchesty-worker-", ignore_cleanup_errors=True))
        except OSError as error:
            raise StartupError(f"no folder for the processes' sockets: {error}. {_CURE}") from None
        if len(os.fsencode(f"{made}/{processes}.sock")) > LONGEST_SOCKET_PATH:
            raise StartupError(f"{made} is too long a path for the processes' sockets. {_CURE}")
        yield Path(made)


async def supervise_until_signal(supervisor: Supervisor) -> int:
    """Run the supervisor; it passes SIGTERM and Ctrl-C on. Return the exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop, number)
    return await supervisor.run()
