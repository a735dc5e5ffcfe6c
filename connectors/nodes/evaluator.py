"""The worker's side of the process that evaluates expressions; `evaluating` is the other one.

The process is started by the first expression that needs it, and kept. Questions of one turn of the event loop leave in
one write, and are answered one after the other: when the process ends, the first that has no answer is the one that
ended it. It is asked once more, because somebody else may have ended the process; all others are asked again.
"""

import asyncio
import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json, to_json

from connectors.nodes.evaluating import ANSWER, FAILED, REQUEST, VALUE, WRONG
from connectors.nodes.languages import TOO_LARGE, TOO_LONG, ExpressionFailed, ExpressionWrong

PATIENCE_SECONDS: Final = 15
"""How long one question may go without an answer, whatever the process does meanwhile."""

_TRIES: Final = 2
_JUDGED: Final = {-signal.SIGVTALRM: TOO_LONG, -signal.SIGABRT: TOO_LARGE}
"""Ends that say what was wrong: libraries that get no memory abort."""
_PACKAGE: Final = Path(__file__).parent.parent
_PROGRAM: Final = """\
import sys, types
package = types.ModuleType("connectors")
package.__path__ = [sys.argv[1]]
sys.modules["connectors"] = package
from connectors.nodes.evaluating import main
main()
"""
"""Imports the evaluation without what the package imports for those who write connectors: that takes a second."""
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""Variables that the process gets; the worker's own hold passwords."""


class NoJson(ValueError):
    """The body of the message is no JSON."""


class _Question:
    """One expression, the message it is evaluated on, and who waits for the answer."""

    def __init__(self, frame: bytes, answered: Callable[[bytes, bytes], None]) -> None:
        self.frame = frame
        self.answered = answered
        self.tries = 0


class Evaluator:
    """Evaluates expressions in a process of its own, for the event loops of one thread."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[_Question] = deque()
        self._unsent = bytearray()
        self._received = bytearray()
        self._is_flushing = False
        self._watched: _Question | None = None

    async def evaluate(self, language: str, text: str, body: str, headers: Mapping[str, Any]) -> Any:
        """Return the value of an expression on a body of JSON.

        Raises `ExpressionFailed`, `NoJson`, and `OSError` when the process cannot be started.
        """
        loop = asyncio.get_running_loop()
        self._attach(loop)
        answer: asyncio.Future[tuple[bytes, bytes]] = loop.create_future()
        self._ask(_Question(_frame(language, text, body, headers), lambda *said: _answer(answer, said)))
        if not self._is_flushing:
            self._is_flushing = True
            loop.call_soon(self._flush)
        if self._watched is None:
            self._watch()
        return _value(*await answer)

    def check(self, language: str, text: str) -> None:
        """Compile an expression, and wait for it. Raises `ExpressionWrong`, and `OSError` as `evaluate`."""
        answers: list[tuple[bytes, bytes]] = []
        self._ask(_Question(_frame(language, text, "", None), lambda *said: answers.append(said)))
        until = time.monotonic() + PATIENCE_SECONDS
        self._flush()
        while not answers:
            assert self._socket is not None
            ready = select.select(
                [self._socket], [self._socket] if self._unsent else [], [], max(0, until - time.monotonic())
            )
            if not any(ready):
                self._kill()
            if ready[1]:
                self._flush()
            self._receive()
        try:
            _value(*answers[0])
        except ExpressionFailed as error:
            raise ExpressionWrong(f"it cannot be compiled: {error}") from None

    def close(self) -> None:
        """End the process."""
        self._waiting.clear()
        if self._process is not None:
            self._end()

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen to the process in this event loop; one before it, which has ended, waits for nothing."""
        if self._loop is not loop:
            if self._waiting:
                self.close()
            self._loop, self._is_flushing, self._watched = loop, False, None
            if self._socket is not None:
                loop.add_reader(self._socket, self._receive)

    def _ask(self, question: _Question) -> None:
        if self._process is None:
            self._start()
        self._waiting.append(question)
        self._unsent += question.frame

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _start_process(theirs)
        ours.setblocking(False)
        self._socket = ours
        self._unsent.clear()
        self._received.clear()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.add_reader(ours, self._receive)

    def _flush(self) -> None:
        self._is_flushing = False
        if self._socket is None:
            return
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.add_writer(self._socket, self._continue)
        except OSError:
            self._unsent.clear()  # it has ended, as reading tells

    def _continue(self) -> None:
        if self._loop is not None and self._socket is not None:
            self._loop.remove_writer(self._socket)
        self._flush()

    def _receive(self) -> None:
        if self._socket is None:
            return
        try:
            received = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._ended()
            return
        self._received += received
        while len(self._received) >= ANSWER.size:
            kind, size = ANSWER.unpack_from(self._received)
            end = ANSWER.size + size
            if len(self._received) < end:
                return
            said = bytes(self._received[ANSWER.size : end])
            del self._received[:end]
            self._waiting.popleft().answered(kind, said)

    def _ended(self) -> None:
        """Judge what the process was at, and ask a new one everything else."""
        status = self._end()
        if not self._waiting:
            return
        guilty = self._waiting[0]
        guilty.tries += 1
        if status in _JUDGED:
            self._waiting.popleft().answered(FAILED, _JUDGED[status].encode())
        elif guilty.tries >= _TRIES:
            said = f"it has ended the process that evaluates expressions, twice (status {status})"
            self._waiting.popleft().answered(FAILED, said.encode())
        if self._waiting:
            self._start()
            self._unsent += b"".join(question.frame for question in self._waiting)
            self._flush()

    def _end(self) -> int:
        assert self._process is not None
        assert self._socket is not None
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._socket.close()
        process, self._process, self._socket = self._process, None, None
        process.kill()  # in vain when it has ended by itself: its status stays
        return process.wait()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _watch(self) -> None:
        """Look again after a while whether the question that waits first is still the same."""
        assert self._loop is not None
        if self._watched is not None and self._waiting and self._waiting[0] is self._watched:
            self._kill()
        self._watched = self._waiting[0] if self._waiting else None
        if self._watched is not None:
            self._loop.call_later(PATIENCE_SECONDS, self._watch)


def _start_process(connection: socket.socket) -> subprocess.Popen[bytes]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    return subprocess.Popen(  # noqa: S603 - a program of ours
        [sys.executable, "-P", "-c", _PROGRAM, str(_PACKAGE)],
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**inherited, "PYTHONPATH": path},
        start_new_session=True,
    )


def _answer(answer: "asyncio.Future[tuple[bytes, bytes]]", said: tuple[bytes, bytes]) -> None:
    if not answer.done():
        answer.set_result(said)


def _frame(language: str, text: str, body: str, headers: Mapping[str, Any] | None) -> bytes:
    question = to_json([language, text, headers if headers is None else dict(headers)], fallback=str)
    content = body.encode(errors="surrogatepass")
    return REQUEST.pack(len(question), len(content)) + question + content


def _value(kind: bytes, said: bytes) -> Any:
    if kind == VALUE:
        return from_json(said)
    text = said.decode(errors="replace")
    raise ExpressionWrong(text) if kind == WRONG else ExpressionFailed(text) if kind == FAILED else NoJson(text)


_of_thread: Final = threading.local()


def evaluator() -> Evaluator:
    """Return the evaluator of this thread."""
    found: Evaluator | None = getattr(_of_thread, "evaluator", None)
    if found is None:
        found = _of_thread.evaluator = Evaluator()
        atexit.register(found.close)
    return found
