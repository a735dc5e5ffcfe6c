"""Standard output and error that never make the process wait, and never end it.

Whoever reads a worker's log may stop reading, or go away. Writing into a full pipe then waits for ever, with all that
the event loop does, and writing into a broken one raises an error at the end of the process.
"""

import atexit
import os
import select
import socket
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BufferedWriter, RawIOBase, TextIOWrapper
from queue import SimpleQueue
from typing import Any, TextIO

import structlog

log = structlog.get_logger()

MOST_BYTES = 4 * 1024 * 1024
"""What waits for a reader; more is dropped."""
DRAIN_SECONDS = 1.0
"""What the end of the process waits for a reader."""


class Output(RawIOBase):
    """A file whose writers never wait: a thread writes what cannot be written at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._write_at_once = at_once(descriptor)
        self._waiting: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        self._taken = self._passed = self._dropped = 0
        """Bytes that the thread got, and those of them that it has passed on; writes that were too much."""
        os.register_at_fork(after_in_child=self._have_no_thread)
        threading.Thread(target=self._pass_on, name=f"output {descriptor}", daemon=True).start()

    def write(self, data: Any, /) -> int:
        """Write the bytes, keep them for the thread, or drop them when too many wait; for one thread at a time."""
        size = len(data)
        left = memoryview(bytes(data))
        if not self.waiting:
            left = self._try(left)
        if not left:
            return size
        if self.waiting + len(left) > MOST_BYTES:
            self._dropped += 1
        else:
            self._taken += len(left)
            self._waiting.put(bytes(left))
        return size

    @property
    def waiting(self) -> int:
        """Bytes that the thread has not passed on yet."""
        return self._taken - self._passed

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Return when all is passed on, or the time is over."""
        is_passed = threading.Event()
        self._waiting.put(is_passed)
        is_passed.wait(seconds)

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Return the file below, for programs that get it as theirs."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a person reads."""
        return os.isatty(self._descriptor)

    def _try(self, chunk: memoryview) -> memoryview:
        """Write what can be written at once; return the rest."""
        try:
            while chunk:
                chunk = chunk[self._write_at_once(chunk) :]
        except BlockingIOError:
            return chunk
        except OSError:  # nobody reads any more, or the disk is full
            return chunk[:0]
        return chunk

    def _have_no_thread(self) -> None:
        """Write at once, come what may: we are in a process that was forked."""
        self._write_at_once, self._taken = partial(os.write, self._descriptor), self._passed

    def _pass_on(self) -> None:
        while True:
            taken = self._waiting.get()
            if isinstance(taken, threading.Event):
                taken.set()
                continue
            _write(self._descriptor, taken)
            self._passed += len(taken)
            if self._dropped and self._waiting.empty():
                lines, self._dropped = self._dropped, 0
                log.warning("output_dropped", lines=lines, cause="they were written faster than they were read")


def at_once(descriptor: int) -> Callable[[memoryview], int]:
    """Return what writes to the file as much as goes without waiting, and raises `BlockingIOError` when nothing goes.

    Other processes have the same file open, so it is not made non-blocking itself.
    """
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return partial(_send, socket.socket(fileno=os.dup(descriptor)))
        return partial(os.write, never_waiting(descriptor))
    return _leave_to_thread


def never_waiting(descriptor: int) -> int:
    """Return a descriptor of the same file whose writes fail instead of waiting. Raises `OSError`, as for sockets."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)


def _send(channel: socket.socket, chunk: memoryview) -> int:
    return channel.send(chunk, socket.MSG_DONTWAIT)


def _leave_to_thread(_: memoryview) -> int:
    raise BlockingIOError


def _write(descriptor: int, chunk: bytes) -> None:
    """Write all of it, however long that takes."""
    left = memoryview(chunk)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except OSError:
            return


_outputs: list[Output] = []


def never_wait() -> None:
    """Put such files into the place of `sys.stdout` and `sys.stderr`, for the rest of the process."""
    sys.stdout, sys.stderr = _text(sys.stdout), _text(sys.stderr)
    atexit.register(drain)


def drain() -> None:
    """Pass on what was written last, before the process ends."""
    for output in _outputs:
        output.drain()


def _text(replaced: TextIO) -> TextIO:
    output = Output(replaced.fileno())
    _outputs.append(output)
    return TextIOWrapper(BufferedWriter(output), replaced.encoding, "backslashreplace", line_buffering=True)
