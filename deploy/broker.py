"""A RabbitMQ for the demonstration, the tests and the benchmarks, with the consistent-hash exchange.

The broker whose URL is given is used as it is; else a container, when a Docker engine answers; else a private
node of the Debian package, which is installed when it is missing and we may do so. What was started here is
gone after the `with` block, and after its owner's death too, however that came about.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

from deploy.errors import BrokerError, BrokerNotOurs, BrokerUnavailable
from deploy.ports import free_ports, wait_for_amqp
from deploy.private_node import ERLANG_ARGUMENTS, PLUGINS, PrivateNode, installed_server

__all__ = [
    "Broker",
    "BrokerError",
    "BrokerNotOurs",
    "BrokerUnavailable",
    "ContainerBroker",
    "GivenBroker",
    "PrivateNode",
    "docker_answers",
    "installed_server",
    "provide_broker",
    "started",
]

URL_VARIABLE = "WORKER_TEST_AMQP_URL"
IMAGE = "rabbitmq:3.13.7"
# The plugins stand in a file of our own: the image's belongs to another user.
CONTAINER_PLUGINS_FILE = "/etc/rabbitmq/worker_plugins"
CONTAINER_SCRIPT = f'echo "{PLUGINS.strip()}" >{CONTAINER_PLUGINS_FILE} && exec docker-entrypoint.sh rabbitmq-server'
CONTAINER_STOP_SECONDS = 10
PING_SECONDS = 10.0
PING_SCRIPT = """
from testcontainers.core.docker_client import DockerClient
DockerClient(timeout=2).client.ping()
"""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Broker(Protocol):
    """A RabbitMQ which answers, and which we may stop and start when it is ours."""

    @property
    def url(self) -> str:
        """The AMQP URL with user, password and virtual host; `stop` and `start` do not change it."""

    @property
    def description(self) -> str:
        """What it is and where, without the password."""

    @property
    def is_ours(self) -> bool:
        """Whether `stop`, `kill` and `start` work; otherwise they raise `BrokerNotOurs`."""

    def stop(self) -> None:
        """Shut it down in an orderly way; the data stays."""

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would; the data stays."""

    def start(self) -> None:
        """Start it on the same address with the same data; return when AMQP answers."""

    def close(self) -> None:
        """Give back everything we started, the data too; a given broker is left alone."""


class GivenBroker:
    """A broker which runs elsewhere and is none of our business but for its URL."""

    is_ours = False

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.description = f"the given RabbitMQ at {parts.hostname}:{parts.port or 5672}"

    def stop(self) -> None:
        self._refuse()

    def kill(self) -> None:
        self._refuse()

    def start(self) -> None:
        self._refuse()

    def close(self) -> None:
        pass

    def _refuse(self) -> NoReturn:
        raise BrokerNotOurs(f"Only its owner may stop and start {self.description}")


class ContainerBroker:
    """A container of the official image; testcontainers' reaper removes it when its owner dies."""

    is_ours = True

    def __init__(self) -> None:
        # Imported here: a machine without Docker needs no testcontainers, and the import takes its time.
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - see above

        (self._port,) = free_ports(1)
        self._version = "?"
        self._is_created = False
        self._container = (
            DockerContainer(IMAGE)
            .with_env("RABBITMQ_ENABLED_PLUGINS_FILE", CONTAINER_PLUGINS_FILE)
            .with_env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG_ARGUMENTS)
            .with_command(["sh", "-c", CONTAINER_SCRIPT])
            .with_bind_ports(5672, self._port)
        )

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self._container.get_container_host_ip()}:{self._port}/%2F"

    @property
    def description(self) -> str:
        return f"RabbitMQ {self._version} in a container on port {self._port}"

    def start(self) -> None:
        if self._is_created:
            self._container.get_wrapped_container().start()
        else:
            self._create()
        host = self._container.get_container_host_ip()
        self._version = wait_for_amqp(host, self._port, is_running=self._is_running, read_log=self._read_log)

    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=CONTAINER_STOP_SECONDS)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def close(self) -> None:
        self._container.stop()

    def _create(self) -> None:
        # Imported here for the reasons above; the package has no types.
        from docker.errors import DockerException  # type: ignore[import-untyped]  # noqa: PLC0415

        try:
            self._container.start()
        except DockerException as error:
            raise BrokerUnavailable(f"Docker could not start {IMAGE}: {error}") from error
        self._is_created = True

    def _is_running(self) -> bool:
        container = self._container.get_wrapped_container()
        container.reload()
        return bool(container.status == "running")

    def _read_log(self) -> str:
        return b"\n".join(self._container.get_logs()).decode(errors="replace")


def docker_answers() -> bool:
    """Whether a Docker engine answers within a few seconds.

    Asked in a process of its own: an engine behind a dead network may hang in spite of the client's timeout.
    """
    ping = [sys.executable, "-c", PING_SCRIPT]
    try:
        return subprocess.run(ping, capture_output=True, timeout=PING_SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


StartedBroker = TypeVar("StartedBroker", ContainerBroker, PrivateNode)


def started(broker: StartedBroker) -> StartedBroker:
    """The same broker, which answers now; when it cannot be started, nothing is left of it."""
    with contextlib.ExitStack() as stack:
        stack.callback(broker.close)
        broker.start()
        stack.pop_all()
    return broker


@contextlib.contextmanager
def provide_broker(
    url: str | None = None, *, ours_only: bool = False, announce: Callable[[str], None] | None = None
) -> Iterator[Broker]:
    """A broker which answers, until the block ends.

    `url`, or else WORKER_TEST_AMQP_URL of the environment, names the broker to use; `ours_only` passes over
    both, for those who stop and start it. `announce` is told what takes its time; without it stderr is.
    Raises `BrokerUnavailable` when there is none to be had.
    """
    given = None if ours_only else url or os.environ.get(URL_VARIABLE)
    broker = GivenBroker(given) if given else _start_ours(announce or _write_to_stderr)
    with contextlib.closing(broker):
        yield broker


def _start_ours(announce: Callable[[str], None]) -> Broker:
    if docker_answers():
        announce(f"Starting {IMAGE} in a container ...")
        try:
            return started(ContainerBroker())
        except BrokerUnavailable as error:
            announce(f"{error}\nTrying the Debian package instead.")
    server = installed_server(announce)
    announce("Starting a private RabbitMQ ...")
    return started(PrivateNode(server))


def _write_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Start a broker, print its URL, and stop it on Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.broker",
        description="Starts a RabbitMQ, prints its URL, and stops it on Ctrl-C or SIGTERM.",
        epilog="Example: python -m deploy.broker, then run the tests against it elsewhere: "
        f"{URL_VARIABLE}=amqp://guest:guest@127.0.0.1:PORT/%2F pytest",
    )
    parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, lambda *_: sys.exit())
    try:
        _serve()
    except BrokerUnavailable as error:
        sys.exit(str(error))


def _serve() -> None:
    with provide_broker(ours_only=True) as broker:
        print(broker.url, flush=True)
        _write_to_stderr(f"This is a {broker.description}; Ctrl-C stops it.")
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # no signal gets lost before the wait
        signal.sigwait(SIGNALS)


if __name__ == "__main__":
    main()
