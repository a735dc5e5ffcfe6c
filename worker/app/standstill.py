"""The end of a process whose event loop an action blocks for ever.

A thread asks the loop whether it still turns. It counts its own rounds instead of looking at a clock, so a machine that
sleeps or a process that is stopped for hours loses one round.
"""

import asyncio
import ctypes
import faulthandler
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from worker.app.ending import HardEnd
from worker.output import never_waiting

log = structlog.get_logger()

ROUND_SECONDS = 1.0
LEAST_ROUNDS = 10
"""Within the seconds, when these are few."""
BLOCKED = 1
"""Exit status."""


@contextmanager
def ended_when_blocked(seconds: float, end: HardEnd) -> Iterator[None]:
    """End the process when one task, or nothing but callbacks, has held the running loop for these seconds; 0: never.

    Tasks that block one after the other are slow, but go on. Where one call holds the interpreter, so that no thread
    runs, the seconds are those of the processor; the process then ends with the status `signal.SIGVTALRM`.
    """
    if not seconds:
        yield
        return
    watch = _Watch(seconds, end)
    threading.Thread(target=watch.run, name="event loop", daemon=True).start()
    try:
        yield
    finally:
        watch.has_ended.set()


class _Watch:
    def __init__(self, seconds: float, end: HardEnd) -> None:
        self.has_ended = threading.Event()
        self._seconds = seconds
        self._round_seconds = min(ROUND_SECONDS, seconds / LEAST_ROUNDS)
        self._end = end
        self._loop = asyncio.get_running_loop()

        _end_by_timer()
        self._wind_timer()

    def run(self) -> None:
        try:
            with suppress(RuntimeError):  # the loop has been closed
                while not self.has_ended.wait(self._round_seconds):
                    self._wind_timer()
                    if not self._turns():
                        self._end_process()
                        return
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _turns(self) -> bool:
        """Wait until the loop has turned; False when it stands."""
        has_turned = threading.Event()
        self._loop.call_soon_threadsafe(has_turned.set)
        rounds, running = 0, asyncio.current_task(self._loop)
        while not has_turned.wait(self._round_seconds):
            self._wind_timer()
            before, running = running, asyncio.current_task(self._loop)
            rounds = rounds + 1 if running is before else 0
            if rounds * self._round_seconds >= self._seconds:
                return self.has_ended.is_set()
        return True

    def _wind_timer(self) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds + self._round_seconds)

    def _end_process(self) -> None:
        log.error("event_loop_blocked", seconds=self._seconds, consequence="the process ends")
        self._end.within(0, BLOCKED)


def _end_by_timer() -> None:
    """Let the timer show where all threads are, then end the process; both in C, as no Python runs by then.

    The timer counts the time of the processor, which stands as well when the machine does. A handler is needed because
    the signal alone does not end the first process of a container.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal.restype = ctypes.c_void_p
    libc.signal(signal.SIGVTALRM, ctypes.cast(libc._exit, ctypes.c_void_p))  # noqa: SLF001 - its name in C
    faulthandler.register(signal.SIGVTALRM, file=_shown(), chain=True)


def _shown() -> int:
    """Return where the stacks are written: a log reader that hangs must not keep the process."""
    error = sys.stderr.fileno()
    try:
        return never_waiting(error)
    except OSError:  # a socket, such as that of a system's journal
        return error
