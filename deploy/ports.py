"""Free TCP ports, and whether a RabbitMQ answers on one."""

import itertools
import random
import socket
import struct
import time
from collections.abc import Callable

from deploy.errors import BrokerUnavailable

__all__ = ["free_ports", "server_version", "wait_for_amqp"]

# Below the ports the kernel gives to outgoing connections: nobody takes a stopped broker's port by accident.
CANDIDATES = range(20_000, 32_000)
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
# The server property "version", a long string, as it stands in Connection.Start.
VERSION_KEY = b"\x07versionS"
START_SECONDS = 90.0
POLL_SECONDS = 0.05
LOG_LINES = 25


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens, at random so that two callers at the same time get different ones."""
    shuffled = random.SystemRandom().sample(CANDIDATES, len(CANDIDATES))
    return list(itertools.islice(filter(_is_free, shuffled), count))


def server_version(host: str, port: int) -> str | None:
    """The version in the server's Connection.Start frame, or nothing while no AMQP server answers."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(PROTOCOL_HEADER)
            with connection.makefile("rb") as reader:
                _, _, size = struct.unpack(">BHI", reader.read(7))
                start = reader.read(size)
            _, found, rest = start.partition(VERSION_KEY)
            (length,) = struct.unpack_from(">I", rest)
    except (OSError, struct.error):
        return None
    return rest[4 : 4 + length].decode() if found else None


def wait_for_amqp(host: str, port: int, *, is_running: Callable[[], bool], read_log: Callable[[], str]) -> str:
    """Return the server's version as soon as it answers.

    Raises `BrokerUnavailable` with the end of the log when the process ends first or takes too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while (version := server_version(host, port)) is None:
        if not is_running() or time.monotonic() > deadline:
            log_end = "\n".join(read_log().splitlines()[-LOG_LINES:])
            raise BrokerUnavailable(f"RabbitMQ did not come to answer on port {port}. Its log ends:\n{log_end}")
        time.sleep(POLL_SECONDS)
    return version


def _is_free(port: int) -> bool:
    try:
        with socket.socket() as probe:
            probe.bind(("", port))
    except OSError:
        return False
    return True
