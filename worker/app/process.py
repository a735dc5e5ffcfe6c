"""The life of a worker process, on one page."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import structlog

from worker.accounts.opening import connect_accounts
from worker.actions.applications import applications_in, known_applications, limited_applications
from worker.actions.binding import bind
from worker.actions.injection import Equipment
from worker.actions.registry import Registry, load_actions
from worker.actions.remote import RemoteActions
from worker.app.http_api import serve_http
from worker.app.metrics import Measures, Parts, families
from worker.broker.intake import Intake
from worker.broker.link import Link
from worker.broker.publisher import Publisher
from worker.deduplication.opening import open_marks
from worker.errors import HandBack, SettingsError
from worker.limits.call_observer import hear
from worker.limits.gate import Gate, ReservingGate
from worker.limits.opening import reservations_of
from worker.modes.mode import Counter as RunCounter
from worker.modes.mode import Parking, TrashNotice
from worker.modes.platform import PlatformCounter, PlatformGate, PlatformNotice, PlatformParking
from worker.modes.standalone import BrokerParking, NoNotice, OpenCounter, check_shared, open_service
from worker.modes.ui_log import Interface
from worker.pipeline.back_off import Failures
from worker.pipeline.handler import Handler
from worker.pipeline.settle import Settler
from worker.prometheus import render
from worker.protocol.message import Envelope, current_visit, receive
from worker.protocol.topology import Topology
from worker.protocol.topology_file import load_topology
from worker.settings.settings import Mode, Settings
from worker.trash.opening import open_trash
from worker.trash.retention import Retention, purge_regularly
from worker.webhooks.intake import WebhookIntake
from worker.webhooks.lookup import CalledWebhooks

log = structlog.get_logger()


class Worker:
    """Consumes the nodes of a topology until it is told to stop.

    Start it with `asyncio.run(Worker(settings).run())`, or inside another asyncio service; `stop` ends it.
    Raises `StartupError` for settings, a topology or actions that are wrong.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        topology: Topology | None = None,
        registry: Registry | None = None,
        answers_http: bool = True,
    ) -> None:
        """Without `answers_http` no port is opened: for a service that answers by `describe` and `metrics` itself."""
        self.settings = settings
        self._answers_http = answers_http
        self._topology = topology or load_topology(settings.topology)
        self._registry = registry or load_actions(settings.actions)
        self._nodes = self._topology.select(settings.nodes)
        self._measures = Measures(self._topology, self._nodes)
        self._stopping = asyncio.Event()
        self._called: set[asyncio.Task[Any]] = set()
        self._is_platform = settings.mode is Mode.PLATFORM
        self._remote = RemoteActions()
        self._accounts = connect_accounts(settings, self._registry, self._nodes)
        self._store = open_trash(settings.trash_address, settings.trash_flood_limit)
        self._marks = open_marks(settings.marks_address) if any(node.deduplicate for node in self._nodes) else None
        self._notice = self._make_notice()
        self._gate = self._make_gate()
        self._publisher = Publisher()
        self._state = open_service(settings, self._topology, self._publisher)
        self._webhooks = self._make_webhooks()
        self._interface = Interface(settings)
        self._equipment = Equipment(self._registry, settings, self._topology, self._publisher)
        self.handler = self._make_handler()
        self._intake = Intake(
            self._topology,
            self._nodes,
            self._measures.delivered(self.handler.deliver),
            self._publisher,
            is_platform=self._is_platform,
            check_seconds=settings.silence_seconds,
            max_message_bytes=settings.max_message_bytes,
        )
        url = broker_url(settings, self._topology)
        self._links = [
            Link(url, name, serve, probe_seconds=settings.silence_seconds)
            for name, serve in (("consume", self._intake.serve), ("publish", self._publisher.serve))
        ]

    def stop(self) -> None:
        """Finish the messages in work within the grace, then end `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`."""
        log.info(
            "worker_started",
            topologyId=self._topology.id,
            topologyName=self._topology.name,
            nodes=[node.name for node in self._nodes],
            mode=self.settings.mode.value,
        )
        try:
            with self._interface.listening(self._registry.calls):
                async with self._http():
                    await self._consume_until_stopped()
        finally:
            await self._close()
        log.info("worker_stopped")

    def _http(self) -> AbstractAsyncContextManager[None]:
        if not self._answers_http:
            return nullcontext()
        key = self.settings.orchesty_api_key
        return serve_http(
            self.settings.http_host,
            self.settings.http_port,
            health=self,
            process=self.process,
            api_key=key.get_secret_value() if key else None,
            grace_seconds=self.settings.grace,
            webhook=self._webhooks.answer if self._webhooks else None,
        )

    async def _consume_until_stopped(self) -> None:
        async with asyncio.TaskGroup() as group:
            consuming, publishing = (group.create_task(link.run(), name=link.name) for link in self._links)
            purging = group.create_task(purge_regularly(self._store, Retention.of(self.settings)), name="purge")
            counting = group.create_task(self._state.run(), name="process state")
            telling = group.create_task(self._interface.run(), name="user interface")
            await self._stopping.wait()
            log.info("worker_stopping", in_work=self.in_work, grace_seconds=self.settings.grace)
            self.handler.stop_waiting()
            self._state.stop_waiting()
            await self._finish_work()
            consuming.cancel()
            await asyncio.wait([consuming])
            publishing.cancel()
            purging.cancel()
            counting.cancel()
            await self._interface.finish()
            telling.cancel()

    async def _finish_work(self) -> None:
        """Let the messages in work finish, those from queues and those that the platform calls with."""
        called = [asyncio.wait(self._called, timeout=self.settings.grace)] if self._called else []
        await asyncio.gather(self._intake.stop(self.settings.grace), *called)

    async def process(self, node_id: str, envelope: Envelope, published: int) -> bool:
        """Process a message that the platform's limiter gives back; False when it cannot be done now."""
        node = next((node for node in self._nodes if node.id == node_id), None)
        if node is None or self._stopping.is_set():
            return False
        visit = receive(node, envelope, published)
        current_visit.set(visit)
        task = asyncio.current_task()
        assert task is not None, "called by the HTTP server"
        self._called.add(task)
        try:
            await self.handler.carry_out(visit, await self.handler.decide(visit))
        except HandBack:
            return False
        finally:
            self._called.discard(task)
        return True

    @property
    def is_ready(self) -> bool:
        """Whether every node is consumed, or its turn awaited, and results can be published."""
        return self._intake.is_ready and self._publisher.is_open and not self._stopping.is_set()

    @property
    def in_work(self) -> int:
        """Messages taken and not acknowledged."""
        return sum(self._intake.in_work(node.id) for node in self._nodes)

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """By node id and what happened since the start, as in `Handler.counts`."""
        return self.handler.counts

    def describe(self) -> Mapping[str, Any]:
        """Return the state in detail, for `/readyz` and `/healthz`."""
        return {
            "status": "stopping" if self._stopping.is_set() else "ok" if self.is_ready else "not consuming",
            "publisher": "open" if self._publisher.is_open else "waiting for the broker",
            "inWork": self.in_work,
            "nodes": {node.name: self._intake.consumers[node.id].state for node in self._nodes},
        }

    def metrics(self) -> str:
        """Return the metrics in Prometheus' text format."""
        links, is_ready = self._links, self.is_ready
        parts = Parts(self._measures, self.counts, self._intake, self._publisher, links, is_ready)
        others = (self._registry.calls, self._gate, self._interface)
        return render([*families(parts), *(family for other in others for family in other.families())])

    def _make_gate(self) -> Gate:
        if self._is_platform:
            return PlatformGate()
        applications = limited_applications(self._nodes, self._registry)
        check_shared(self.settings, applications)
        self._registry.http.rate_noticed = hear
        reservations = reservations_of(self.settings, self._count_processes)
        return ReservingGate(reservations, applications=applications, access=self._registry.http.access)

    def _count_processes(self) -> int | None:
        """Return how many processes consume the same queues, as far as is known; None: it is not known yet."""
        found = [consumer.workers for consumer in self._intake.consumers.values()]
        known = [workers for workers in found if workers is not None]
        return max(self.settings.processes, *known, 1) if len(known) == len(found) else None

    def _make_handler(self) -> Handler:
        parking: Parking = PlatformParking() if self._is_platform else BrokerParking()
        return Handler(
            calls=self._measures.called(bind(self._nodes, self._registry, self._remote)),
            gate=self._gate,
            settler=Settler(parking, self._make_counter()),
            failures=Failures(self.settings.max_failures, time.monotonic),
            publisher=self._publisher,
            store=self._store,
            notice=self._notice,
            runs=self._state.runs,
            max_message_bytes=self.settings.max_message_bytes,
            max_deliveries=self.settings.max_deliveries,
            marks=self._marks,
        )

    def _make_counter(self) -> RunCounter | None:
        if self._is_platform:
            return PlatformCounter()
        return None if self._state.is_counting else OpenCounter()

    def _make_webhooks(self) -> WebhookIntake | None:
        if self._accounts is None:
            return None
        from worker.webhooks.deliveries import Deliveries  # noqa: PLC0415 - a worker without accounts need not wait for it
        from worker.webhooks.store import Webhooks  # noqa: PLC0415 - as above

        accounts, database = self._accounts.accounts, self._accounts.database
        stored, known = Webhooks(database, accounts.installs.keyring), known_applications(self._registry)
        called = CalledWebhooks(accounts, stored, known, applications_in(self._topology, known))
        public_url = self.settings.public_url or ""
        return WebhookIntake(called, Deliveries(database), self._topology, self._publisher, public_url)

    def _make_notice(self) -> TrashNotice:
        if not self._is_platform:
            return NoNotice()
        key = self.settings.orchesty_api_key
        return PlatformNotice(self.settings.starting_point_dsn, key.get_secret_value() if key else "")

    async def _close(self) -> None:
        shared = (self._store, self._state, self._gate, self._accounts, self._marks)
        for part in (self._registry, self._equipment, self._remote, self._notice, *shared):
            if part is not None:
                await part.close()


def broker_url(settings: Settings, topology: Topology) -> str:
    """Return the broker's address. Raises `SettingsError` when neither settings nor topology name one."""
    if settings.amqp_url is not None:
        return settings.amqp_url.get_secret_value()
    if topology.amqp_url is None:
        raise SettingsError(
            "no broker: set WORKER_AMQP_URL=amqp://user:password@host:5672/%2F or give the topology a rabbitMq dsn"
        )
    return topology.amqp_url


async def run_until_signal(worker: Worker) -> int:
    """Run the worker; SIGTERM or Ctrl-C stops it gracefully, a second one at once. Return the exit status."""
    running = asyncio.ensure_future(worker.run())
    received: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        received.append(number)
        if len(received) == 1:
            worker.stop()
        else:
            log.warning("worker_forced", signal=number.name, consequence="unfinished messages go back to the broker")
            running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    try:
        await running
    except asyncio.CancelledError:
        return 128 + received[-1] if received else 1
    except ExceptionGroup:
        log.exception("worker_failed", consequence="unfinished messages go back to the broker")
        return 1
    return 0
