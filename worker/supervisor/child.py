"""One of the supervisor's worker processes: started, and started again when it dies."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

import worker
from applications.pauses import back_off
from worker.urls import UNIX

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30
STABLE_SECONDS = 60
"""A process that has run this long was well; the pauses start over."""

CLOSE_SECONDS = 20
"""What a process may take on top of the grace until it is killed: more than it takes to end itself."""

FORCED_SECONDS = 5
"""What a process may take after the second signal until it is killed."""

CANNOT_START = 2
"""Status of a process whose settings, topology or actions are wrong: starting it again does not help."""


def command(number: int, lifeline: int) -> Sequence[str]:
    """Return the command of a worker process; its settings come in the environment, the pipe as an open file."""
    is_beside_us = Path(worker.__file__).parent.parent == Path.cwd()
    only_installed = () if is_beside_us else ("-P",)  # a folder `worker` here must not take our place
    return (sys.executable, *only_installed, "-m", "worker", "run", "--supervised", str(number), str(lifeline))


class Child:
    """One place for a worker process; `run` keeps it filled until `stop`."""

    def __init__(
        self, number: int, environment: Mapping[str, str], folder: Path, grace_seconds: float, *, awaits_changes: bool
    ) -> None:
        """With `awaits_changes` a process that cannot start is not the end; `restart` comes when its files change."""
        self.number = number
        self.socket = folder / f"{number}.sock"
        self.status = 0
        """Of the process that has ended last; 128 + its number for a signal."""
        self.restarts = 0
        """How often a process has died."""
        self._environment = {**os.environ, **environment, "WORKER_HTTP_HOST": f"{UNIX}{self.socket}"}
        self._grace_seconds = grace_seconds
        self._awaits_changes = awaits_changes
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False
        self._told = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Start the process, and again when it ends. Return after `stop`, or when it cannot start at all."""
        clock, failures = asyncio.get_running_loop().time, 0
        while not self._is_stopping:
            self._told.clear()
            started = clock()
            self.status = await self._run_once()
            if self._is_stopping or (self.status == CANNOT_START and not self._awaits_changes):
                return
            if self._told.is_set():
                failures = 0
                continue
            failures = 0 if clock() - started > STABLE_SECONDS else failures
            await self._pause(failures)
            failures += 1

    def stop(self, number: signal.Signals) -> None:
        """Let the process end gracefully and start no other; the second time by force, with this signal.

        The first is always SIGTERM: a process that is still importing would answer SIGINT with a traceback.
        """
        if self._is_stopping:
            asyncio.get_running_loop().call_later(FORCED_SECONDS, self._send, signal.SIGKILL)
            self._send(number)
            return
        self._is_stopping = True
        self._told.set()
        self._send(signal.SIGTERM)

    def restart(self) -> None:
        """Stop the process gracefully and start it again."""
        self._told.set()
        self._send(signal.SIGTERM)

    async def _run_once(self) -> int:
        lifeline, ours = os.pipe()  # never written to; it ends when the supervisor ends
        try:
            return await self._run_with(lifeline)
        finally:
            os.close(ours)

    async def _run_with(self, lifeline: int) -> int:
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *command(self.number, lifeline),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(lifeline,),
                env=self._environment,
                start_new_session=True,  # Ctrl-C in the terminal reaches it through us, and once
            )
        finally:
            os.close(lifeline)
        log.info("worker_process_started", worker=self.number, pid=process.pid)
        if self._told.is_set():
            self._send(signal.SIGTERM)
        ended = asyncio.ensure_future(process.wait())
        told = asyncio.ensure_future(self._told.wait())
        try:
            await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([ended], timeout=self._grace_seconds + CLOSE_SECONDS)
            if not ended.done():
                log.error("worker_process_killed", worker=self.number, cause="it did not stop in time")
                self._send(signal.SIGKILL)
            status = await ended
        finally:
            told.cancel()
            self._process = None
            self.socket.unlink(missing_ok=True)
        if status == -signal.SIGTERM and self._told.is_set():
            return 0  # it was still importing and had no message yet
        return status if status >= 0 else 128 - status

    async def _pause(self, failures: int) -> None:
        """Wait before the next start; a stop or a changed file ends it."""
        if self.status == CANNOT_START:
            log.error("worker_process_cannot_start", worker=self.number, consequence="waits for a change of its files")
            await self._told.wait()
            return
        self.restarts += 1
        pause = back_off(failures, first=FIRST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS)
        log.error(
            "worker_process_ended", worker=self.number, cause=_cause(self.status), restart_in_seconds=round(pause, 1)
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._told.wait()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):  # it has ended this moment
                self._process.send_signal(number)


def _cause(status: int) -> str:
    try:
        return f"signal {signal.Signals(status - 128).name}"
    except ValueError:
        return f"exit status {status}"
