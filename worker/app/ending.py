"""The end of a worker process, which comes whatever its actions do."""

import faulthandler
import os
import sys
import threading
import time
import traceback
from queue import Empty, SimpleQueue

import structlog

from worker.output import drain

log = structlog.get_logger()

CLOSE_SECONDS = 15
"""What the process may take on top of the grace."""
FORCED_SECONDS = 2
"""What it may take after the second signal."""
LEAVE_SECONDS = 3
"""What tasks and threads may take that are left over when the worker has ended."""
_HELD_SECONDS = 2
"""After the end is due, until it comes without Python's help."""


class HardEnd:
    """Ends the process when its time is over, whatever runs in it. Of several times the earliest counts."""

    def __init__(self) -> None:
        self._deadline = float("inf")
        self._told: SimpleQueue[tuple[float, int]] = SimpleQueue()
        self._nowhere = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        threading.Thread(target=self._watch, name="hard end", daemon=True).start()

    def within(self, seconds: float, status: int) -> None:
        """Give the process this many seconds; a signal handler may call it.

        Where one call holds the interpreter, no thread of Python's runs; the end then comes by one of C's.
        """
        seconds = min(seconds, threading.TIMEOUT_MAX / 2)
        deadline = time.monotonic() + seconds
        if deadline < self._deadline:
            self._deadline = deadline
            self._told.put((deadline, status))
            faulthandler.dump_traceback_later(seconds + _HELD_SECONDS, exit=True, file=self._nowhere)

    def _watch(self) -> None:
        deadline, status = self._told.get()
        while (left := deadline - time.monotonic()) > 0:
            try:
                deadline, status = self._told.get(timeout=left)
            except Empty:
                break
        try:
            log.error("worker_killed", consequence="unfinished messages go back to the broker", busy_at=_busy_at())
            drain()
        finally:
            os._exit(status)


def _busy_at() -> list[str]:
    """Say what the main thread does now, the innermost call last."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 - there is no other way
    return [f"{found.filename}:{found.lineno} in {found.name}" for found in traceback.extract_stack(frame)]
