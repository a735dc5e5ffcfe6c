"""Databases for the tests: a private PostgreSQL cluster, and a server that speaks MongoDB's protocol.

What was started here is gone after `close`, and after its owner's death too, however that came about.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.debian import install_package, package_account
from deploy.ports import free_ports
from deploy.private_node import UNDERTAKER_SCRIPT

__all__ = ["DatabaseUnavailable", "PrivateMongo", "PrivatePostgres", "PrivateServer", "installed_postgres"]

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
POSTGRES_FOLDERS = Path("/usr/lib/postgresql")
POSTGRES_ACCOUNT = "postgres"
PASSWORD = "secret"


class DatabaseUnavailable(Exception):
    """No database could be had; the message says what to do about it."""


class PrivateServer:
    """A server beside all others: its own port and directory, and an undertaker that ends it when we die."""

    scheme = ""
    database = ""
    stop_signal = signal.SIGTERM

    def __init__(self, account: str | None = None) -> None:
        (self.port,) = free_ports(1)
        self._account = account
        self._server: subprocess.Popen[bytes] | None = None
        self.directory = Path(tempfile.mkdtemp(prefix=f"worker-{self.scheme}-"))
        if account:
            shutil.chown(self.directory, account, account)
        self._undertaker = self._popen(["sh", "-c", UNDERTAKER_SCRIPT], stdin=subprocess.PIPE)

    @property
    def url(self) -> str:
        """The URL; `stop` and `start` do not change it."""
        return f"{self.scheme}://{self.credentials}127.0.0.1:{self.port}/{self.database}"

    @property
    def credentials(self) -> str:
        """What stands before the host."""
        return ""

    def command(self) -> Sequence[str]:
        """What to run."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it can be used."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def start(self) -> None:
        """Start it on the same port with the same data; return when it answers."""
        if self._server is not None and self._server.poll() is None:
            return
        self._server = self._popen(self.command(), stdin=subprocess.DEVNULL)
        (self.directory / "group").write_text(str(self._server.pid))
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise DatabaseUnavailable(f"{self.scheme} did not come to answer. Its log ends:\n{self._log_end()}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Shut it down; the data stays."""
        if self._server is None:
            return
        self._server.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()
        self._server = None
        (self.directory / "group").unlink(missing_ok=True)

    def close(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        with self._undertaker:
            pass  # closes its pipe and waits for it

    def _log_end(self) -> str:
        return "\n".join((self.directory / "output").read_text(errors="replace").splitlines()[-25:])

    def run(self, command: Sequence[str]) -> None:
        """Run a command as the server's account, to its end."""
        if self._popen(command, stdin=subprocess.DEVNULL).wait() != 0:
            raise DatabaseUnavailable(f"{command[0]} failed:\n{self._log_end()}")

    def _popen(self, command: Sequence[str], *, stdin: int) -> subprocess.Popen[bytes]:
        with (self.directory / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(self.directory)},
                start_new_session=True,
                user=self._account,
                group=self._account,
                extra_groups=[] if self._account else None,
            )


class PrivatePostgres(PrivateServer):
    """A PostgreSQL cluster with the user `worker` and a database of that name, which has a password."""

    scheme = "postgresql"
    database = "postgres"
    stop_signal = signal.SIGINT  # its fast shutdown: connections are closed, nothing is waited for

    def __init__(self, binaries: Path) -> None:
        super().__init__(package_account(POSTGRES_ACCOUNT))
        self._binaries = binaries
        password = self.directory / "password"
        password.write_text(PASSWORD)
        where = ["-D", str(self.directory / "data"), "-U", "worker", f"--pwfile={password}"]
        self.run([str(binaries / "initdb"), *where, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"])

    @property
    def credentials(self) -> str:
        return f"worker:{PASSWORD}@"

    def command(self) -> Sequence[str]:
        settings = ("listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.directory}")
        unsafe = ("fsync=off", "full_page_writes=off", "max_connections=200")
        options = [part for setting in (*settings, *unsafe) for part in ("-c", setting)]
        return [str(self._binaries / "postgres"), "-D", str(self.directory / "data"), *options]

    def answers(self) -> bool:
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0


class PrivateMongo(PrivateServer):
    """NX-27017: MongoDB's wire protocol before SQLite. No MongoDB, which no package registry has."""

    scheme = "mongodb"
    database = "orchesty"

    def command(self) -> Sequence[str]:
        files = ["--log-file", "log", "--pid-file", "pid", "--data-dir", "data"]
        return [sys.executable, "-m", "nx_27017.nx_27017", "--host", "127.0.0.1", "-p", str(self.port), *files]


def installed_postgres(announce: Callable[[str], None]) -> Path:
    """The folder of PostgreSQL's programs; Debian's package is installed where it is missing and we may do so.

    Raises `CannotInstall`, whose message names the command to run.
    """
    found = _find_postgres()
    if found is None:
        install_package("postgresql", announce)
        found = _find_postgres()
    if found is None:
        raise DatabaseUnavailable(f"The package postgresql is installed, but {POSTGRES_FOLDERS} has no initdb")
    return found


def _find_postgres() -> Path | None:
    folders = sorted(POSTGRES_FOLDERS.glob("*/bin/initdb"), key=lambda path: float(path.parent.parent.name))
    return folders[-1].parent if folders else None
