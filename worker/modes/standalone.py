"""Standalone mode: the broker's delay tiers, runs counted here, limits kept by the workers."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from applications import Application
from connectors import Repeat, Trash
from connectors.topologies import Start
from worker.actions.applications import limited_applications
from worker.actions.registry import Registry
from worker.broker.delays import LOST, declare_tiers, delayed, let_out, tier_queues
from worker.broker.link import Session
from worker.broker.objects import COUNTER_EXCHANGE, QUORUM, Arguments, Declarations
from worker.broker.one_shot import queue_states
from worker.broker.surroundings import ParkedCount
from worker.errors import PublishRefused, SettingsError, TopologyError
from worker.limits.call_observer import rate_noticed
from worker.limits.gate import ReservingGate
from worker.limits.opening import open_shared, open_unshared
from worker.limits.reservations import Reservations
from worker.modes.mode import AGAIN_AFTER
from worker.protocol import headers as h
from worker.protocol.message import Visit, check_size, encode
from worker.protocol.start import derived_ids, start_headers
from worker.protocol.topology import ROUTING_KEY, Node, Topology
from worker.protocol.topology_file import load_topology
from worker.protocol.transport import Outlet, Publication
from worker.runs.service import CountingService, NoService, RunService
from worker.settings.settings import Settings, WithoutRedis
from worker.trash.entry import Entry
from worker.trash.store import TrashStore

LONGEST_ROUTING_KEY = 255


class Standalone:
    """Makes what does without the platform."""

    shows_runs = True
    is_ended_over_http = False

    def __init__(self, settings: Settings) -> None:
        self.surroundings = DelayTiers()
        self._settings = settings

    def parking(self) -> "BrokerParking":
        """Return the delay tiers."""
        return BrokerParking()

    def gate(self, nodes: Sequence[Node], registry: Registry, processes: Callable[[], int | None]) -> ReservingGate:
        """Return what reserves a turn for each call, and learns from what services say of their limits."""
        applications = limited_applications(nodes, registry)
        check_shared(self._settings, applications)
        registry.http.rate_noticed = rate_noticed
        return ReservingGate(
            reservations_of(self._settings, processes), applications=applications, access=registry.http.access
        )

    def runs(self, topology: Topology, publisher: Outlet) -> RunService:
        """Return what counts runs in the database, unless `WORKER_PROCESS_STATE` says no."""
        settings = self._settings
        if not settings.counts_processes:
            return NoService()
        if any(node.id == settings.finished_start for node in topology.nodes):
            raise SettingsError("WORKER_FINISHED_START names a node of this topology: its runs would never end")
        return CountingService(
            settings.process_address,
            topology,
            publisher,
            keep_days=settings.process_keep_days,
            webhook=settings.finished_webhook.get_secret_value() if settings.finished_webhook else None,
            start_node=settings.finished_start,
        )

    def counter(self) -> "OpenCounter | None":
        """Return the exchange for whoever listens, where no database counts."""
        return None if self._settings.counts_processes else OpenCounter()

    def figures(self) -> None:
        """Return nobody: `/metrics` has them."""

    def entities(self) -> None:
        """Return nobody: they travel with the message."""

    def repeaters(self, nodes: Sequence[Node]) -> None:
        """Return nobody: the topology file has them."""

    def installation(self, store: TrashStore, publisher: Outlet) -> None:
        """Return nobody: there is no installation."""

    def notifier(self) -> "NoNotifier":
        """Return nobody."""
        return NoNotifier()

    def starter(self, topology: Topology, publisher: Outlet) -> "BrokerStarter":
        """Return what publishes the first message."""
        return BrokerStarter(topology, self._settings.topology.parent, publisher, self._settings.max_message_bytes)


def reservations_of(settings: Settings, processes: Callable[[], int | None]) -> Reservations:
    """Return where limits are kept by these settings; `processes` as in `UnsharedReservations`."""
    guard, recovery = settings.limit_guard, settings.limit_recovery
    if settings.redis_url is not None:
        return open_shared(settings.redis_url.get_secret_value(), guard_seconds=guard, recovery_seconds=recovery)
    are_divided = settings.limits_without_redis is WithoutRedis.DIVIDE
    return open_unshared(processes, are_divided=are_divided, guard_seconds=guard, recovery_seconds=recovery)


class DelayTiers:
    """Messages wait in the broker and come back to a node's own queue, after a limit to its return queue."""

    queues: Mapping[str, Arguments] = {**dict(tier_queues()), LOST: QUORUM}

    def return_queues(self, node: Node) -> tuple[str, ...]:
        """Name the return queue, if the node needs one."""
        return (node.return_queue,) if node.has_return_queue else ()

    async def declare(self, declarations: Declarations) -> None:
        """Declare the tiers, and the exchange of reports."""
        await declarations.exchange(COUNTER_EXCHANGE, "topic")
        await declare_tiers(declarations)

    async def declare_return(self, declarations: Declarations, node: Node) -> None:
        """Let messages out of the tiers into the node's queues."""
        await let_out(declarations, node)

    async def parked(self, session: Session) -> ParkedCount:
        """Count what waits in the tiers, and what came out of them when its node was gone."""
        waiting = await _messages(session, [queue for queue, _ in tier_queues()])
        return ParkedCount(waiting, await _messages(session, [LOST]))


async def _messages(session: Session, queues: Sequence[str]) -> int:
    states = await queue_states(session, queues)
    return sum(state.messages for state in states.values() if state is not None)


class BrokerParking:
    """Standalone: the delay tiers of the broker."""

    def repeat(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back after this time. Raises `ValueError` when that is longer than the tiers go."""
        return delayed(node, body, seconds, timestamp)

    def limit(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back after this time, not behind what waits in the node's queue."""
        return delayed(node, body, seconds, timestamp, is_limited=True)


class OpenCounter:
    """Standalone: a topic exchange with the run as routing key. Who wants to follow runs binds a queue."""

    def report(self, visit: Visit, body: bytes) -> Publication:
        """Send to whoever listens; nobody need to."""
        run = visit.headers.text(h.CORRELATION_ID).encode()[:LONGEST_ROUTING_KEY].decode(errors="ignore")
        return Publication(COUNTER_EXCHANGE, run, body, visit.timestamp, mandatory=False)


class NoNotifier:
    """Standalone: the log line and `trash list` are the notice."""

    async def publication(self, visit: Visit, entry: Entry) -> Publication | None:
        """Return nothing."""

    async def close(self) -> None:
        """Nothing to close."""


class BrokerStarter:
    """Publishes to the first node. Names are looked up in the topology files beside the worker's own."""

    def __init__(self, own: Topology, folder: Path, publisher: Outlet, largest: int) -> None:
        """`largest` is how many bytes a message may have."""
        self._topologies: Sequence[Topology] = (own,)
        self._folder = folder
        self._publisher = publisher
        self._largest = largest

    async def start(self, start: Start) -> None:
        """Publish; return when the broker has it."""
        node = _find(self._topologies, start)
        if node is None:
            self._topologies = (self._topologies[0], *await asyncio.to_thread(_read_all, self._folder))
            node = _find(self._topologies, start)
        if node is None:
            known = sorted({topology.name for topology in self._topologies})
            raise Trash(
                f"there is no node {start.node!r} of a topology {start.topology!r}; the files in {self._folder} "
                f"have: {', '.join(known)}"
            )
        body = encode(headers_of(start, node), start.body)
        check_size(body, self._largest)
        publication = Publication(node.exchange, ROUTING_KEY, body)
        try:
            await self._publisher.publish((publication,), is_patient=False)
        except PublishRefused as error:
            reason = f"cannot start {start.topology}: {error}. Does a worker consume it?"
            raise Repeat(AGAIN_AFTER, reason, max_hops=100) from error

    async def close(self) -> None:
        """Nothing to close: the publisher is the worker's."""


def headers_of(start: Start, node: Node) -> h.Headers:
    """Return the headers of the run that an action starts."""
    by = start.by
    extra = {h.SEQUENCE_ID: "1"}
    if h.CORRELATION_ID in by:
        extra[h.PREVIOUS_CORRELATION_ID] = h.text(by[h.CORRELATION_ID])
    extra |= {name: by[name] for name in (h.SOURCE, h.SDK) if name in by}
    return start_headers(derived_ids(start, node), node, start.user, extra)


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
