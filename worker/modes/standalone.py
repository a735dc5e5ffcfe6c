"""Standalone mode: the broker's delay tiers, runs counted here, limits kept by the workers."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from applications import Application
from connectors import RepeatLater, StopAndFail
from connectors.topologies import Start
from worker.broker.delays import delayed
from worker.broker.objects import COUNTER_EXCHANGE
from worker.broker.publisher import Publisher
from worker.errors import PublishRefused, SettingsError, TopologyError
from worker.modes.mode import AGAIN_AFTER
from worker.protocol import headers as h
from worker.protocol.message import Visit, encode
from worker.protocol.start import started_headers
from worker.protocol.topology import ROUTING_KEY, Node, Topology
from worker.protocol.topology_file import load_topology
from worker.protocol.transport import Outlet, Publication
from worker.runs.service import CountingService, NoService, RunService
from worker.settings.settings import Settings, WithoutRedis
from worker.trash.entry import Entry


class BrokerStarter:
    """Publishes to the first node. Names are looked up in the topology files beside the worker's own."""

    def __init__(self, own: Topology, folder: Path, publisher: Outlet) -> None:
        self._topologies: Sequence[Topology] = (own,)
        self._folder = folder
        self._publisher = publisher

    async def start(self, start: Start) -> None:
        """Publish; return when the broker has it."""
        node = _find(self._topologies, start)
        if node is None:
            self._topologies = (self._topologies[0], *await asyncio.to_thread(_read_all, self._folder))
            node = _find(self._topologies, start)
        if node is None:
            known = sorted({topology.name for topology in self._topologies})
            raise StopAndFail(
                f"there is no node {start.node!r} of a topology {start.topology!r}; the files in {self._folder} "
                f"have: {', '.join(known)}"
            )
        publication = Publication(node.exchange, ROUTING_KEY, encode(started_headers(start, node), start.body))
        try:
            await self._publisher.publish((publication,), is_patient=False)
        except PublishRefused as error:
            reason = f"cannot start {start.topology}: {error}. Does a worker consume it?"
            raise RepeatLater(AGAIN_AFTER, reason, max_hops=100) from error

    async def close(self) -> None:
        """Nothing to close: the publisher is the worker's."""


def _find(topologies: Sequence[Topology], start: Start) -> Node | None:
    """Find the node; of several topologies with the name, the worker's own comes first."""
    for topology in topologies:
        if start.topology != (topology.id if start.by_id else topology.name):
            continue
        for node in topology.nodes:
            if start.node == (node.id if start.by_id else node.name):
                return node
    return None


def _read_all(folder: Path) -> list[Topology]:
    """Read the topology files of a folder; what is no topology is another file's business."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(load_topology(path))
        except TopologyError:
            continue
    return found


def check_shared(settings: Settings, applications: Mapping[str, type[Application]]) -> None:
    """Raise `SettingsError` where processes are to keep limits of applications that they do not share."""
    if settings.redis_url is not None or settings.processes == 1:
        return
    if settings.limits_without_redis is WithoutRedis.DIVIDE:
        _check_divided(settings.processes, applications)
        return
    keys = ", ".join(sorted({application.key for application in applications.values() if application.has_limit()}))
    if keys:
        raise SettingsError(
            f"{settings.processes} processes would each keep the limits of {keys} for themselves. Set "
            "WORKER_REDIS_URL, or WORKER_LIMITS_WITHOUT_REDIS=divide, or WORKER_PROCESSES=1"
        )


def _check_divided(processes: int, applications: Mapping[str, type[Application]]) -> None:
    for application in applications.values():
        for limit in (application.limit, application.group_limit):
            if limit and limit.amount < processes:
                raise SettingsError(
                    f"the limit of {application.key}, {limit.amount} calls per {limit.seconds} s, cannot be divided "
                    f"among {processes} processes. Set WORKER_REDIS_URL, or WORKER_PROCESSES={limit.amount}"
                )


def open_service(settings: Settings, topology: Topology, publisher: Publisher) -> RunService:
    """Return what the settings ask for."""
    return CountingService(settings, topology, publisher) if settings.counts_processes else NoService()


class BrokerParking:
    """Standalone: the delay tiers of the broker."""

    def repeat(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back after this time. Raises `ValueError` when that is longer than the tiers go."""
        return delayed(node, body, seconds, timestamp)

    def limit(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back after this time, not behind what waits in the node's queue."""
        return delayed(node, body, seconds, timestamp, is_limited=True)


LONGEST_ROUTING_KEY = 255


class OpenCounter:
    """Standalone: a topic exchange with the run as routing key. Who wants to follow runs binds a queue."""

    def report(self, visit: Visit, body: bytes) -> Publication:
        """Send to whoever listens; nobody need to."""
        run = visit.header(h.CORRELATION_ID).encode()[:LONGEST_ROUTING_KEY].decode(errors="ignore")
        return Publication(COUNTER_EXCHANGE, run, body, visit.timestamp, mandatory=False)


class NoNotice:
    """Standalone: the log line and `trash list` are the notice."""

    async def publication(self, visit: Visit, entry: Entry) -> Publication | None:
        """Return nothing."""

    async def close(self) -> None:
        """Nothing to close."""
