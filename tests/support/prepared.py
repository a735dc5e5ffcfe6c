"""`python -m worker`, forked from a process that has imported it already: a start costs a hundredth of its CPU time.

What is started is a process of its own all the same, with the arguments, environment, folder, descriptors and signals
that it is given. Tests of the start itself run the interpreter.
"""

import array
import asyncio
import atexit
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    *(f"worker.{room}" for room in ("accounts", "app", "broker", "checks", "cli", "modes", "storage", "trash")),
    "connectors.nodes",
    "connectors.catalogue",
    "applications.catalogue",
)
"""What most commands import, at once or when they choose a store, and what a worker looks through for its actions."""
MODULES = ("aio_pika", "alembic.command", "alembic.config")
"""What these import where they need it."""

REQUEST_BYTES = 1 << 20
REQUEST_FDS = 4
REPLY = "i"
"""First the process id, then the exit status, negative for a signal."""


@dataclass(slots=True)
class Prepared:
    """A process that was started here. Its exit status is that of `subprocess`."""

    pid: int
    _told: socket.socket
    returncode: int | None = None

    def wait(self) -> int:
        """Return the exit status when there is one."""
        if self.returncode is None:
            self.returncode = _read(self._told)
            self._told.close()
        return self.returncode

    def watched(self) -> asyncio.Future[int]:
        """Return what has the exit status when there is one, while the event loop goes on."""
        loop = asyncio.get_running_loop()
        status: asyncio.Future[int] = loop.create_future()

        def read() -> None:
            loop.remove_reader(self._told)
            status.set_result(self.wait())

        loop.add_reader(self._told, read)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended and that is known."""
        if self.returncode is None:
            os.kill(self.pid, number)


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    folder: Path | None = None,
    module: str = "worker",
) -> Prepared:
    """Start `python -m worker`, or another module, on these descriptors, which stay the caller's to close."""
    told, telling = socket.socketpair()
    own = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder or Path.cwd())}
    request = {**own, "module": module}
    with telling:
        socket.send_fds(_server(), [json.dumps(request).encode()], [telling.fileno(), stdin, stdout, stderr])
    return Prepared(_read(told), told)


async def talking(
    arguments: Sequence[str], environment: Mapping[str, str], *, module: str = "worker"
) -> tuple[Prepared, asyncio.StreamReader]:
    """Start `python -m worker`, or another module, and return what it prints as well, errors included."""
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    process = start(arguments, environment, stdin=nothing, stdout=writing, stderr=writing, module=module)
    os.close(nothing)
    os.close(writing)
    said = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(said), os.fdopen(reading, "rb", buffering=0)
    )
    return process, said


def run(
    arguments: Sequence[str], environment: Mapping[str, str], *, text_in: str = "", folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m worker` to its end, and return what it printed."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(text_in.encode())
        given.seek(0)
        stdin, stdout, stderr = given.fileno(), out.fileno(), err.fileno()
        started = start(arguments, environment, stdin=stdin, stdout=stdout, stderr=stderr, folder=folder)
        status = started.wait()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read().decode(), err.read().decode())


@cache
def _server() -> socket.socket:
    """The process that has imported the worker, one in each process of the tests."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with its:
        server = subprocess.Popen(
            [sys.executable, "-P", __file__, str(its.fileno())],  # no module beside this one is in the place of another
            pass_fds=[its.fileno()],
            cwd=ROOT,
            env=clean,
            stdin=subprocess.DEVNULL,
        )
    atexit.register(server.wait)
    atexit.register(ours.close)
    return ours


def _read(told: socket.socket) -> int:
    data = told.recv(array.array(REPLY).itemsize, socket.MSG_WAITALL)
    assert data, "what starts the processes has ended"
    return array.array(REPLY, data)[0]


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request, and tell how each has ended. Returns the request in the fork, None at the end."""
    started: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not requests:
                    pid, telling = started.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _tell(telling, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                    telling.close()
                    continue
                data, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES, REQUEST_FDS)
                if not data:
                    return None
                telling = socket.socket(fileno=descriptors[0])
                if not (pid := os.fork()):
                    _take(descriptors[1:], [requests, telling, *(other for _, other in started.values())], [*started])
                    taken: dict[str, Any] = json.loads(data)
                    return taken
                for descriptor in descriptors[1:]:
                    os.close(descriptor)
                _tell(telling, pid)
                ended = os.pidfd_open(pid)
                started[ended] = (pid, telling)
                selector.register(ended, selectors.EVENT_READ)


def _take(descriptors: Sequence[int], sockets: Sequence[socket.socket], others: Sequence[int]) -> None:
    """Let a fork have its own three descriptors, and nothing of the server."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for other in sockets:
        other.close()
    for number in others:
        os.close(number)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _tell(telling: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it
        telling.sendall(array.array(REPLY, [number]))


def _import_worker() -> None:
    for package in PACKAGES:
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            import_module(module.name)
    for name in MODULES:
        import_module(name)


def _become(request: dict[str, Any], path: Sequence[str]) -> None:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    own = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [request["folder"], *own, *path]
    sys.argv[1:] = request["arguments"]
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _end(ended.code)
        raise
    _end(None)


def _end(code: object) -> None:
    """End as the interpreter does, but leave all modules as they are: to take them apart would copy their memory.

    Returns where the interpreter would have more to say: a message, or a stream that cannot be written.
    """
    if code is not None and not isinstance(code, int):
        return
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests; they end this process
    PATH = sys.path[:]
    _import_worker()
    gc.freeze()
    if (REQUEST := serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        _become(REQUEST, PATH)
