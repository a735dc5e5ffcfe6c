"""Platform mode: the services of the Orchesty platform keep limits, repeats and counts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import quote

import httpx

from applications.limit import of_service
from connectors import Repeat, Trash
from connectors.topologies import Start
from worker.actions.registry import Registry
from worker.broker.link import Session
from worker.broker.objects import (
    COUNTER_QUEUE,
    EVENTS_EXCHANGE,
    LIMITER_QUEUE,
    QUORUM,
    REPEATER_QUEUE,
    Arguments,
    Declarations,
)
from worker.broker.surroundings import ParkedCount
from worker.limits.call_observer import Observed
from worker.limits.gate import Go, Held, Pause
from worker.limits.limit import limits_of
from worker.modes.mode import AGAIN_AFTER
from worker.modes.notices import PlatformNotice
from worker.modes.services import Entities, Figures, Installation, Repeaters
from worker.prometheus import Family
from worker.protocol import headers as h
from worker.protocol.message import Visit
from worker.protocol.topology import LIMITED_ROLES, Node, Topology
from worker.protocol.transport import Outlet, Publication
from worker.runs.service import NoService
from worker.settings.settings import Settings
from worker.trash.store import TrashStore
from worker.urls import http_url

ANSWER_SECONDS = 30


class Platform:
    """Makes what speaks to the platform's services."""

    shows_runs = False
    is_ended_over_http = True

    def __init__(self, settings: Settings) -> None:
        self.surroundings = PlatformQueues()
        self._settings = settings
        self._starting_point = settings.starting_point_dsn
        self._key = settings.platform_key

    def parking(self) -> "PlatformParking":
        """Return the repeater and the limiter."""
        return PlatformParking()

    def gate(self, nodes: Sequence[Node], registry: Registry, processes: Callable[[], int | None]) -> "PlatformGate":
        """Return the way to the limiter."""
        return PlatformGate()

    def runs(self, topology: Topology, publisher: Outlet) -> NoService:
        """Return nothing that counts: the platform does."""
        return NoService()

    def counter(self) -> "PlatformCounter":
        """Return the platform's counter."""
        return PlatformCounter()

    def figures(self) -> Figures | None:
        """Return the collection of figures, if `METRICS_DSN` says where."""
        if self._settings.metrics_dsn is None:
            return None
        from worker.modes.figures import MongoFigures  # noqa: PLC0415 - the driver takes its time

        return MongoFigures(self._settings.metrics_dsn.get_secret_value(), self._settings.node_measurement)

    def entities(self) -> Entities | None:
        """Return the collections of the audit, if `MONGODB_DSN` says where."""
        if (url := self._settings.platforms_mongodb) is None:
            return None
        from worker.modes.entities import MongoEntities  # noqa: PLC0415 - as above

        return MongoEntities(url, self._settings.audit_entity_collection, self._settings.audit_data_collection)

    def repeaters(self, nodes: Sequence[Node]) -> Repeaters | None:
        """Return the documents of the nodes, if `MONGODB_DSN` or `WORKER_API_HOST` says where."""
        url, host = self._settings.platforms_mongodb, self._settings.api_host
        if url is None and host is None:
            return None
        from worker.modes.node_documents import MongoNodes, WorkerApiNodes  # noqa: PLC0415 - as above
        from worker.modes.repeaters import EditorRepeaters  # noqa: PLC0415 - as above

        return EditorRepeaters(MongoNodes(url) if url else WorkerApiNodes(http_url(host or ""), self._key), nodes)

    def installation(self, store: TrashStore, publisher: Outlet) -> Installation | None:
        """Return the limits that the backend tells, if `BACKEND_URL` says where it is."""
        settings = self._settings
        if settings.backend_url is None:
            return None
        from worker.modes.installation import InstallationLimits  # noqa: PLC0415 - as above
        from worker.modes.usage import Usage  # noqa: PLC0415 - as above

        metrics = settings.metrics_dsn.get_secret_value() if settings.metrics_dsn else None
        usage = Usage(metrics, settings.platforms_mongodb, settings.limiter_collection)
        url, seconds = settings.backend_url, settings.limits_check_interval
        return InstallationLimits(url, seconds, usage, store, self.notifier(), publisher)

    def notifier(self) -> PlatformNotice:
        """Return the status call and the event."""
        return PlatformNotice(self._starting_point, self._key)

    def starter(self, topology: Topology, publisher: Outlet) -> "PlatformStarter":
        """Return the starting point."""
        return PlatformStarter(self._starting_point, self._key)


class PlatformQueues:
    """The queues of the platform's services. Messages come back by `POST /api/process`, not by a queue."""

    queues: Mapping[str, Arguments] = dict.fromkeys((COUNTER_QUEUE, REPEATER_QUEUE, LIMITER_QUEUE), QUORUM)

    def return_queues(self, node: Node) -> tuple[str, ...]:
        """Name none."""
        return ()

    async def declare(self, declarations: Declarations) -> None:
        """Declare the queues, and the exchange of events."""
        for queue in self.queues:
            await declarations.queue(queue)
        await declarations.exchange(EVENTS_EXCHANGE, "topic")

    async def declare_return(self, declarations: Declarations, node: Node) -> None:
        """Nothing: the services know the way."""

    async def parked(self, session: Session) -> ParkedCount:
        """Nothing: what waits is the services' own."""
        return ParkedCount()


class PlatformStarter:
    """Asks the platform's starting point."""

    def __init__(self, starting_point: str | None, api_key: str) -> None:
        self._base = http_url(starting_point) if starting_point else None
        self._key = api_key
        self._client: httpx.AsyncClient | None = None

    async def start(self, start: Start) -> None:
        """Call the starting point."""
        if self._base is None:
            raise Trash(f"cannot start {start.topology}: STARTING_POINT_DSN names no starting point")
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False)
        url = f"{self._base}{_path(start)}"
        try:
            answer = await self._client.post(url, content=start.body.encode(), headers=_headers(start, self._key))
        except httpx.TransportError as error:
            raise Repeat(AGAIN_AFTER, f"POST {url}: {type(error).__name__}: {error}", max_hops=100) from error
        if answer.is_server_error:
            raise Repeat(AGAIN_AFTER, f"POST {url} answered {answer.status_code}", max_hops=100)
        if not answer.is_success:
            raise Trash(f"POST {url} answered {answer.status_code}: {answer.text[:200]}")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


def _headers(start: Start, key: str) -> httpx.Headers:
    """Return what the starting point reads, and whose run it is: 4.3.6 and 3.0 look for the key in different places."""
    of = {h.PREVIOUS_CORRELATION_ID: h.CORRELATION_ID, h.PREVIOUS_NODE_ID: h.NODE_ID, h.SDK: h.SDK}
    told = {name: h.text(start.by.get(source)) for name, source in of.items()}
    own = {"Orchesty-Api-Key": key, "Authorization": key, "Content-Type": "application/json"}
    return httpx.Headers(own | {name: value for name, value in told.items() if value.isprintable()}, encoding="utf-8")


def _path(start: Start) -> str:
    user = f"/user/{quote(start.user, safe='')}" if start.user else ""
    run = "run" if start.by_id else "run-by-name"
    return f"/topologies/{quote(start.topology, safe='')}/nodes/{quote(start.node, safe='')}{user}/{run}"


class PlatformGate:
    """Sends limited messages to the platform's limiter, which gives them back when it is their turn."""

    reservations = None

    def concerns(self, node: Node) -> bool:
        """Whether the limiter may have had the node's messages, and left its headers on them."""
        return node.role in LIMITED_ROLES

    async def admit(self, visit: Visit, pause: Pause) -> Go | Held:
        """Hold what is limited and has not passed the limiter yet."""
        limits, has_passed = limits_of(visit), visit.headers.text(h.LIMIT_PASSED)
        if limits and not has_passed:
            return Held(of_service(visit.node.application, visit.node.headers.get(h.SDK, "")))
        return Go(limits, used=frozenset({h.LIMIT_PASSED, h.APPLICATION}) if has_passed else frozenset())

    async def sent(self, go: Go, at: float) -> None:
        """Nothing: the platform's limiter counts what it lets go."""

    async def called(self, visit: Visit, go: Go, observed: Observed) -> None:
        """Leave it to the verdict, which the platform's limiter gets."""

    async def left(self, visit: Visit) -> None:
        """Nothing: what comes from the limiter has left it."""

    def families(self) -> Iterable[Family]:
        """Nothing: the limiter has its own."""
        return ()

    async def close(self) -> None:
        """Nothing is open."""


class PlatformParking:
    """The platform's repeater and limiter, which call `POST /api/process` when the time has come."""

    def repeat(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Hand over to the repeater; it reads the time from the headers."""
        return Publication("", REPEATER_QUEUE, body, timestamp)

    def limit(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Hand over to the limiter; it decides the time."""
        return Publication("", LIMITER_QUEUE, body, timestamp)


class PlatformCounter:
    """The platform's counter service."""

    def report(self, visit: Visit, body: bytes) -> Publication:
        """Send to the counter's queue."""
        return Publication("", COUNTER_QUEUE, body, visit.timestamp)
