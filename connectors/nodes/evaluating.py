"""The process that evaluates expressions: bounded in time and memory, and with nothing to lose.

It has no file, no socket but the one to the worker, and none of the worker's variables. An evaluation that takes too
long is interrupted; one that cannot be interrupted, such as the padding of a text, ends the process. The process ends
when the worker does, because its socket does.
"""

import json
import resource
import signal
import socket
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Final

from pydantic_core import from_json, to_json

from connectors.nodes.languages import (
    COMPILERS,
    LONGEST_SECONDS,
    MOST_BYTES,
    TOO_LONG,
    Evaluate,
    ExpressionFailed,
    ExpressionWrong,
    one_line,
    plain,
    type_name,
)

REQUEST: Final = struct.Struct("!II")
"""Bytes of the question and of the body that follow."""
ANSWER: Final = struct.Struct("!cI")
"""What it is, and how many bytes of it follow."""
VALUE, FAILED, WRONG, NO_JSON = b"v", b"f", b"w", b"j"

MOST_ANSWERED: Final = 32 << 20
_KNOWN: Final = 1024
_GRACE_SECONDS: Final = 0.5
_SIZE: Final = Path("/proc/self/statm")


class _TooLong(BaseException):
    """No language and no template may catch it."""


def main() -> None:
    """Answer until the worker is gone."""
    _bound()
    connection = socket.socket(fileno=0)
    for question, body in _requests(connection):
        kind, said = _answered(question, body)
        connection.sendall(ANSWER.pack(kind, len(said)) + said)


def _bound() -> None:
    """Limit the memory, and let time end what it must: signals for the worker mean the worker."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, _interrupt)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _SIZE.exists():  # Linux; others do not keep this limit
        most = int(_SIZE.read_text(encoding="ascii").split()[0]) * resource.getpagesize() + MOST_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _interrupt(_: int, __: FrameType | None) -> None:
    raise _TooLong


def _requests(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    received = bytearray()
    while piece := connection.recv(1 << 18):
        received += piece
        while len(received) >= REQUEST.size:
            question, body = REQUEST.unpack_from(received)
            end = REQUEST.size + question + body
            if len(received) < end:
                break
            yield bytes(received[REQUEST.size : end - body]), bytes(received[end - body : end])
            del received[:end]


def _answered(question: bytes, body: bytes) -> tuple[bytes, bytes]:
    try:
        _time(LONGEST_SECONDS)
        try:
            return _answer(question, body)
        finally:
            _time(0)
    except _TooLong:
        return FAILED, TOO_LONG.encode()
    except (MemoryError, RecursionError) as error:
        return FAILED, one_line(error).encode()


def _time(seconds: float) -> None:
    """Interrupt after so much CPU time, and end a little later; 0: do neither."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds and seconds + _GRACE_SECONDS)


def _answer(question: bytes, body: bytes) -> tuple[bytes, bytes]:
    language, text, headers = from_json(question)
    try:
        evaluate = _compiled(language, text)
    except ExpressionWrong as error:
        return WRONG, _encoded(error)
    if headers is None:
        return VALUE, b"null"
    try:
        data = json.loads(body.decode(errors="surrogatepass"))
    except ValueError as error:
        return NO_JSON, _encoded(error)
    try:
        made = to_json(plain(evaluate(data, headers)), inf_nan_mode="constants")
    except (ExpressionFailed, ValueError) as error:
        return FAILED, f"on {type_name(data)}: ".encode() + _encoded(error)
    if len(made) > MOST_ANSWERED:
        return FAILED, f"it makes more than {MOST_ANSWERED >> 20} MiB".encode()
    return VALUE, made


def _encoded(error: Exception) -> bytes:
    return one_line(error).encode(errors="replace")


@lru_cache(_KNOWN)
def _compiled(language: str, text: str) -> Evaluate:
    return COMPILERS[language](text)


if __name__ == "__main__":
    main()
