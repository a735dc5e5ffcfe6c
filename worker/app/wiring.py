"""The parts of one worker, and how they are put together."""

import time
from collections.abc import Sequence
from itertools import chain

from connectors.secrets import keep_own
from worker.accounts.opening import OpenAccounts, UserAccess, open_needed, route_to_services
from worker.actions.applications import applications_in, installed_applications
from worker.actions.binding import bind, checkpoints
from worker.actions.catalogue import known_applications
from worker.actions.injection import Injection
from worker.actions.registry import Registry
from worker.actions.remote import RemoteActions
from worker.app.metrics import WorkerMetrics
from worker.broker.intake import Intake
from worker.broker.link import Link
from worker.broker.publisher import Publisher
from worker.deduplication.opening import open_marks
from worker.modes.mode import Mode
from worker.modes.opening import open_mode
from worker.modes.services import Beside
from worker.modes.ui_log import UiLog
from worker.patience import Patience
from worker.pipeline.back_off import Failures
from worker.pipeline.carrying import Carrier
from worker.pipeline.decisions import Stage
from worker.pipeline.handler import Handler
from worker.pipeline.own_stages import load_stages
from worker.pipeline.settle import Settler
from worker.pipeline.stages import Stages
from worker.pipeline.suspects import Suspects
from worker.pipeline.turns import Turns
from worker.protocol.topology import Topology
from worker.service.service import open_service
from worker.settings.settings import Settings
from worker.storage.opening import open_storage
from worker.trash.keeping import Keeper
from worker.trash.opening import open_trash
from worker.urls import secrets_in
from worker.webhooks.intake import WebhookIntake
from worker.webhooks.lookup import CalledWebhooks


class WorkerParts:
    """Made by the settings. Nothing is connected before it is used; `close` closes what was."""

    def __init__(
        self, settings: Settings, topology: Topology, registry: Registry, stages: Sequence[Stage] = ()
    ) -> None:
        """`stages` are the user's own, beside those of the settings.

        Raises `StartupError` for settings, a topology or actions that are wrong.
        """
        keep_own(chain(settings.secrets, secrets_in(topology.amqp_url or "")))
        self.mode = mode = open_mode(settings)
        topology = topology.served_by(settings.services)
        self.settings, self.topology, self.registry = settings, topology, registry
        self.nodes = topology.select(settings.nodes)
        self.patience = Patience()
        self.stages = (*stages, *load_stages(settings.stages))
        self.metrics = WorkerMetrics(topology, self.nodes)
        self.accounts = self._open_accounts()
        self.remote = RemoteActions()
        self.store = open_trash(settings.trash_address, settings.trash_flood_limit, settings.user_task_collection)
        self.marks = open_marks(settings.marks_address) if any(node.deduplicate for node in self.nodes) else None
        self.notifier = mode.notifier()
        self.figures = mode.figures()
        self.entities = mode.entities()
        self.repeaters = mode.repeaters(self.nodes)
        self.gate = mode.gate(self.nodes, registry, self._processes)
        self.publisher = Publisher(self.patience)
        self.installation = mode.installation(self.store, self.publisher)
        beside = (self.figures, self.entities, self.repeaters, self.installation)
        self.beside: Sequence[Beside] = [part for part in beside if part is not None]
        """What works beside the messages."""
        self.runs = mode.runs(topology, self.publisher)
        storage, starter = open_storage(settings.storage_address), mode.starter(topology, self.publisher)
        self.injection = Injection(registry, storage, starter, self.accounts.accounts if self.accounts else None)
        self.ui_log = UiLog(settings)
        self.webhooks = self._make_webhooks()
        self.service = open_service(settings, registry, self.accounts, self.stages, self.gate.reservations)
        self.handler = self._make_handler(mode)
        self.intake = self._make_intake(mode)
        self.links = self._make_links()

    async def close(self) -> None:
        """Close what was opened."""
        stores = (self.store, self.runs, self.gate, self.accounts, self.marks)
        for part in (self.registry, self.injection, self.remote, self.notifier, *self.beside, *stores):
            if part is not None:
                await part.close()

    def _open_accounts(self) -> OpenAccounts | None:
        """Open the users' accounts, and let actions find that of the user of their message."""
        self.registry.http.take(route_to_services(self.settings))
        opened = open_needed(self.settings, installed_applications(self.nodes, self.registry))
        if opened is not None:
            self.registry.http.access = UserAccess(opened.accounts)
        return opened

    def _make_handler(self, mode: Mode) -> Handler:
        trash = Keeper(self.store, self.patience)
        repeaters = self.repeaters.by_node if self.repeaters else {}
        settler = Settler(mode.parking(), mode.counter(), self.settings.max_message_bytes, repeaters)
        carrier = Carrier(
            settler=settler,
            outlet=self.publisher,
            trash=trash,
            notifier=self.notifier,
            runs=self.runs.runs,
            patience=self.patience,
        )
        stages = Stages(
            calls=bind(self.nodes, self.registry, self.remote, self.settings.node_variables),
            carrier=carrier,
            settler=settler,
            turns=Turns(self.gate, self.patience),
            failures=Failures(self.settings.max_failures, time.monotonic),
            runs=self.runs.runs,
            patience=self.patience,
            max_deliveries=self.settings.max_deliveries,
            marks=self.marks,
            added=self.stages,
            checkpoints=checkpoints(self.nodes, self.registry),
            waiting_seconds=self.metrics.waiting_seconds,
            action_seconds=self.metrics.action_seconds,
            figures=self.figures,
            entities=self.entities,
            installation=self.installation,
        )
        return Handler(self.nodes, stages, trash, self.settings.max_message_bytes, Suspects())

    def _make_intake(self, mode: Mode) -> Intake:
        return Intake(
            self.topology,
            self.nodes,
            self.handler.deliver,
            self.publisher,
            mode.surroundings,
            check_seconds=self.settings.silence_seconds,
            max_message_bytes=self.settings.max_message_bytes,
        )

    def _make_links(self) -> Sequence[Link]:
        """Two connections: a broker that slows publishers down still gets its acknowledgements."""
        url, probe = self.settings.broker_address(self.topology.amqp_url), self.settings.silence_seconds
        return (
            Link(url, "consume", self.intake.serve, probe_seconds=probe),
            Link(url, "publish", self.publisher.serve, probe_seconds=probe),
        )

    def _make_webhooks(self) -> WebhookIntake | None:
        if self.accounts is None:
            return None
        from worker.webhooks.deliveries import Deliveries  # noqa: PLC0415 - a worker without accounts need not wait for it
        from worker.webhooks.store import open_webhooks  # noqa: PLC0415 - as above

        accounts, database = self.accounts.accounts, self.accounts.database
        stored, known = open_webhooks(self.accounts), known_applications(self.registry)
        called = CalledWebhooks(accounts, stored, known, applications_in(self.topology, known))
        public_url = self.settings.public_url or ""
        return WebhookIntake(called, Deliveries(database), self.topology, self.publisher, public_url)

    def _processes(self) -> int | None:
        """Return how many processes consume the same queues, as far as is known; None: it is not known yet."""
        workers = self.intake.workers
        return None if workers is None else max(self.settings.processes, workers)
