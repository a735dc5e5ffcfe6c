"""A private RabbitMQ node of the Debian package, which is installed when it is missing and we may do so."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.debian import CannotInstall, install_package, package_account
from deploy.errors import BrokerUnavailable
from deploy.ports import free_ports, wait_for_amqp

__all__ = ["PrivateNode", "installed_server"]

# Debian's script in sbin turns away everybody but root and rabbitmq; the one it calls does not.
DEBIAN_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
DEBIAN_ACCOUNT = "rabbitmq"
PACKAGE = "rabbitmq-server"
OTHERWISE = ", or start a Docker engine, or give the URL of a broker."
PLUGINS = "[rabbitmq_consistent_hash_exchange].\n"
CONFIGURATION = "disk_free_limit.absolute = 50MB\n"
STOP_SECONDS = 10.0
DEAD_LETTER_SECONDS = 10
"""After which an expired message is handed on again that its queue did not take. RabbitMQ waits for three minutes."""
ERLANG_ARGUMENTS = f"-rabbit dead_letter_worker_publisher_confirm_timeout {DEAD_LETTER_SECONDS * 1000}"

# The process notes its group before it becomes anything else, so that the undertaker cannot miss it. The epmd
# is in that group, and "-start_epmd false" keeps Erlang from starting another, which would outlive the node.
NODE_SCRIPT = """
set -e
echo $$ >"$HOME/group"
epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" &
exec "$0"
"""

# Waits for the end of its input, which comes with the owner's end, by SIGKILL too. The directory may still
# grow while the node is dying, hence the attempts.
UNDERTAKER_SCRIPT = """
trap '' HUP INT TERM
read -r _ || :
if [ -s "$HOME/group" ]; then kill -s KILL -- "-$(cat "$HOME/group")" || :; fi
for attempt in 1 2 3 4 5 6 7 8 9; do
    rm -rf -- "$HOME" && break
    sleep 0.1
done
"""


class PrivateNode:
    """A RabbitMQ beside all others: its own ports, epmd, directory and configuration.

    It does not read the machine's configuration, and Ctrl-C in our terminal does not reach it. An undertaker
    process ends it and removes its directory once we close its pipe or die.
    """

    is_ours = True

    def __init__(self, server: Path, plugins: str = PLUGINS) -> None:
        """`plugins` is an Erlang term: the list of those enabled, and a full stop."""
        self._server = server
        self._version = "?"
        self._node: subprocess.Popen[bytes] | None = None
        self._port, self._distribution_port, self._epmd_port = free_ports(3)
        self._account = package_account(DEBIAN_ACCOUNT)
        self._directory = Path(tempfile.mkdtemp(prefix="worker-rabbitmq-"))
        if self._account:
            shutil.chown(self._directory, self._account, self._account)
        self._undertaker = self._popen("sh", "-c", UNDERTAKER_SCRIPT, stdin=subprocess.PIPE)
        (self._directory / "enabled_plugins").write_text(plugins)
        (self._directory / "rabbitmq.conf").write_text(CONFIGURATION)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/%2F"

    @property
    def description(self) -> str:
        return f"private RabbitMQ {self._version} on port {self._port}"

    def start(self) -> None:
        if not self._is_running():
            self.kill()  # an epmd may be left from a node that ended by itself
            self._node = self._popen("sh", "-c", NODE_SCRIPT, str(self._server), stdin=subprocess.DEVNULL)
        self._version = wait_for_amqp("127.0.0.1", self._port, is_running=self._is_running, read_log=self._read_log)

    def stop(self) -> None:
        if self._node is not None:
            self._node.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._node.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        if self._node is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._node.pid, signal.SIGKILL)
        self._node.wait()
        self._node = None
        # The number may soon be another process's; the undertaker must not know it any more.
        (self._directory / "group").unlink(missing_ok=True)

    def close(self) -> None:
        self.kill()
        with self._undertaker:
            pass  # closes its pipe and waits for it

    def _is_running(self) -> bool:
        return self._node is not None and self._node.poll() is None

    def _read_log(self) -> str:
        return (self._directory / "output").read_text(errors="replace")

    def _popen(self, *command: str, stdin: int) -> subprocess.Popen[bytes]:
        with (self._directory / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=self._environment(),
                start_new_session=True,
                user=self._account,
                group=self._account,
                extra_groups=[] if self._account else None,
            )

    def _environment(self) -> dict[str, str]:
        """All of the node's environment: none of the caller's RABBITMQ_ and ERL_ variables reach it."""
        directory = str(self._directory)
        return {
            "PATH": os.pathsep.join([os.environ.get("PATH", ""), os.defpath]),
            "LANG": "C.UTF-8",
            "HOME": directory,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_FLAGS": "-start_epmd false",
            # The script then becomes the node instead of waiting for it, so that signals reach the node.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": f"worker-{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            # Unbound: several nodes bound to cores would all take the first ones.
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {ERLANG_ARGUMENTS}",
            "RABBITMQ_CONF_ENV_FILE": f"{directory}/rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": f"{directory}/rabbitmq.conf",
            "RABBITMQ_CONFIG_FILES": f"{directory}/conf.d",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{directory}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{directory}/mnesia",
            "RABBITMQ_LOG_BASE": f"{directory}/log",
            "RABBITMQ_PID_FILE": f"{directory}/pid",
        }


def installed_server(
    announce: Callable[[str], None], *, server: Path = DEBIAN_SERVER, search_path: str | None = None
) -> Path:
    """The start script of RabbitMQ; the package is installed first where it is missing and we may do so.

    `search_path` stands in for PATH. Raises `BrokerUnavailable`, whose message names the command to run.
    """
    found = _find_server(server, search_path)
    if found is None:
        try:
            install_package(PACKAGE, announce, search_path=search_path, otherwise=OTHERWISE)
        except CannotInstall as error:
            raise BrokerUnavailable(str(error)) from None
        found = _find_server(server, search_path)
    if found is None:
        raise BrokerUnavailable(f"The package rabbitmq-server is installed, but {server} is missing")
    return found


def _find_server(server: Path, search_path: str | None) -> Path | None:
    if server.exists():
        return server
    elsewhere = shutil.which("rabbitmq-server", path=search_path)
    return Path(elsewhere) if elsewhere else None
