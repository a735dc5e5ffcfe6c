"""A private Redis of the Debian package, which is installed when it is missing and we may do so."""

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from deploy.databases import DatabaseUnavailable, PrivateServer
from deploy.debian import install_package

__all__ = ["PrivateRedis", "installed_redis", "private_redis"]

PACKAGE = "redis-server"
PROGRAMS = ("redis-server", "valkey-server")


class PrivateRedis(PrivateServer):
    """A Redis beside all others, in memory only: what it holds is lost when it stops."""

    scheme = "redis"
    database = "0"

    def __init__(self, program: Path) -> None:
        super().__init__()
        self._program = program

    def command(self) -> Sequence[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
        return [str(self._program), *where, "--save", "", "--appendonly", "no"]

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
        self.stop()

    def restart(self) -> None:
        """Stop it and start it again, empty."""
        self.stop()
        self.start()


def installed_redis(announce: Callable[[str], None]) -> Path:
    """The server's program; Debian's package is installed where it is missing and we may do so.

    Raises `CannotInstall`, whose message names the command to run.
    """
    found = _find_redis()
    if found is None:
        install_package(PACKAGE, announce)
        found = _find_redis()
    if found is None:
        raise DatabaseUnavailable(f"The package {PACKAGE} is installed, but redis-server is not on the PATH")
    return found


def _find_redis() -> Path | None:
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return Path(found) if found else None


@contextmanager
def private_redis(announce: Callable[[str], None] = print) -> Iterator[PrivateRedis]:
    """A Redis for as long as the context is open."""
    with closing(PrivateRedis(installed_redis(announce))) as server:
        server.start()
        yield server
