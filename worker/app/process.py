"""The life of a worker process, on one page."""

import asyncio
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from itertools import chain
from types import FrameType
from typing import Any, Protocol

import structlog

from worker.actions.local import contained
from worker.actions.registry import Registry, load_actions
from worker.app.ending import CLOSE_SECONDS, FORCED_SECONDS, HardEnd
from worker.app.ends import Ends, add_ends
from worker.app.http_api import HEALTHY, serve_http, tls_of
from worker.app.metrics import Parts, families
from worker.app.standstill import ended_when_blocked
from worker.app.wiring import WorkerParts
from worker.broker.removal import delete_topology
from worker.errors import HandBack
from worker.pipeline.decisions import Stage
from worker.prometheus import render
from worker.protocol.message import Envelope, receive
from worker.protocol.topology import Topology
from worker.protocol.topology_file import load_topology
from worker.protocol.transport import Delivery
from worker.service.server import admitted_by, answers_of
from worker.service.service import callers_of
from worker.settings.settings import Settings
from worker.trash.retention import Retention, purge_regularly
from worker.urls import UNIX

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
        stages: Sequence[Stage] = (),
        answers_http: bool = True,
    ) -> None:
        """`stages` of your own stand around each action, the first one outermost; see docs/embedding.md.

        Without `answers_http` no port is opened: for a service that answers by `describe` and `metrics` itself.
        """
        self.settings = settings
        self.parts = WorkerParts(
            settings, topology or load_topology(settings.topology), registry or load_actions(settings.actions), stages
        )
        self.handler = self.parts.handler
        self._answers_http = answers_http
        self._stopping = asyncio.Event()
        self.ending = asyncio.Event()
        """Whether `run` has begun to end: it was told to, or has failed."""
        self._has_consumed = asyncio.Event()
        """Whether nothing is consumed any more."""
        self._called: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """Finish the messages in work within the grace, then end `run`."""
        self._stopping.set()

    async def destroy(self) -> None:
        """Stop, and return when the topology has nothing on the broker any more. Raises `BrokerError`."""
        self.stop()
        await self._has_consumed.wait()
        topology = self.parts.topology
        await delete_topology(self.settings.broker_address(topology.amqp_url), topology, self.parts.mode.surroundings)

    async def run(self) -> None:
        """Work until `stop`."""
        topology, nodes = self.parts.topology, self.parts.nodes
        log.info(
            "worker_started",
            topologyId=topology.id,
            topologyName=topology.name,
            nodes=[node.name for node in nodes],
            mode=self.settings.mode.value,
        )
        try:
            with contained(), self.parts.ui_log.listening(self.parts.registry.calls):
                if self.parts.repeaters is not None:
                    await self.parts.repeaters.begin()
                async with self._http():
                    try:
                        await self._consume_until_stopped()
                    finally:
                        self._has_consumed.set()
        finally:
            await self.parts.close()
        log.info("worker_stopped")

    def _http(self) -> AbstractAsyncContextManager[None]:
        if not self._answers_http:
            return nullcontext()
        webhooks, key = self.parts.webhooks, self.settings.platform_key
        is_behind_front = self.settings.http_host.startswith(UNIX)
        may_close = admitted_by(callers_of(self.settings), is_behind_front=is_behind_front)
        ends = partial(add_ends, ends=Ends(self.stop, self.destroy), api_key=key, may_close=may_close)
        return serve_http(
            self.settings.http_host,
            self.settings.http_port,
            health=self,
            process=self.process,
            api_key=key,
            grace_seconds=self.settings.grace,
            webhook=webhooks.answer if webhooks else None,
            tls=tls_of(self.settings),
            service=answers_of(self.parts.service, is_behind_front=is_behind_front),
            ends=ends if self.parts.mode.is_ended_over_http else None,
        )

    async def _consume_until_stopped(self) -> None:
        parts, settings = self.parts, self.settings
        retention = Retention(settings.trash_keep_days, settings.trash_keep_waiting_days)
        async with asyncio.TaskGroup() as group:
            consuming, publishing = (group.create_task(link.run(), name=link.name) for link in parts.links)
            purging = group.create_task(purge_regularly(parts.store, retention), name="purge")
            counting = group.create_task(parts.runs.run(), name="process state")
            telling = group.create_task(parts.ui_log.run(), name="user interface")
            beside = [group.create_task(part.run(), name=type(part).__name__) for part in parts.beside]
            try:
                await self._stopping.wait()
            finally:
                self.ending.set()
            log.info("worker_stopping", in_work=self.in_work, grace_seconds=settings.grace)
            parts.patience.end()
            parts.runs.stop_waiting()
            await self._finish_work()
            consuming.cancel()
            await asyncio.wait([consuming])
            for task in (publishing, purging, counting):
                task.cancel()
            await asyncio.gather(parts.ui_log.finish(), *(part.finish() for part in parts.beside))
            for task in (telling, *beside):
                task.cancel()

    async def _finish_work(self) -> None:
        """Let the messages in work finish, those from queues and those that the platform calls with."""
        called = [asyncio.wait(self._called, timeout=self.settings.grace)] if self._called else []
        await asyncio.gather(self.parts.intake.stop(self.settings.grace), *called)

    async def process(self, node_id: str, envelope: Envelope, published: int) -> bool:
        """Process a message that the platform's limiter gives back; False when it cannot be done now."""
        node = next((node for node in self.parts.nodes if node.id == node_id), None)
        if node is None or self._stopping.is_set():
            return False
        task = asyncio.current_task()
        assert task is not None, "called by the HTTP server"
        self._called.add(task)
        try:
            await self.handler.handle(receive(node, envelope, Delivery(b"", published, is_from_queue=False)))
        except HandBack:
            return False
        finally:
            self._called.discard(task)
        return True

    @property
    def is_ready(self) -> bool:
        """Whether every node is consumed, or its turn awaited, and results can be published."""
        return self._status == "ok"

    @property
    def is_healthy(self) -> bool:
        """Whether it works, or waits for what no new start would bring."""
        return self._status in HEALTHY

    @property
    def _status(self) -> str:
        publisher = self.parts.publisher
        if self._stopping.is_set():
            return "stopping"
        if not self.parts.intake.is_ready:
            return "not consuming"
        if any(link.blocked_for for link in self.parts.links):
            return "blocked by the broker"
        if not publisher.is_open:
            return "not consuming"
        return "publishing refused" if publisher.is_refused else "ok"

    @property
    def in_work(self) -> int:
        """Messages taken and not acknowledged."""
        return sum(self.parts.intake.in_work(node.id) for node in self.parts.nodes)

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """By node id and what happened since the start, as in `Handler.counts`."""
        return self.handler.counts

    def describe(self) -> Mapping[str, Any]:
        """Return the state in detail, for `/readyz` and `/healthz`."""
        intake, publisher, links = self.parts.intake, self.parts.publisher, self.parts.links
        faults = {
            "broker": {link.name: link.cause for link in links if not link.is_up and link.cause},
            "blocked": {link.name: link.blocked_for for link in links if link.blocked_for},
            "refused": dict(publisher.refused),
        }
        return {
            "status": self._status,
            "publisher": "open" if publisher.is_open else "waiting for the broker",
            "inWork": self.in_work,
            "nodes": {node.name: intake.state(node) for node in self.parts.nodes},
        } | {name: found for name, found in faults.items() if found}

    def metrics(self) -> str:
        """Return the metrics in Prometheus' text format."""
        made = self.parts
        parts = Parts(made.metrics, self.counts, made.intake, made.publisher, made.links, self.is_ready)
        others = [part.families() for part in (made.service, made.registry.calls, made.gate, made.ui_log)]
        beside = [part.families() for part in made.beside]
        return render([*families(parts), *chain.from_iterable(others + beside)])


class Life(Protocol):
    """A process that works until it is told to stop."""

    settings: Settings
    ending: asyncio.Event

    async def run(self) -> None:
        """Work until `stop`."""

    def stop(self) -> None:
        """Finish what is in work, then end `run`."""


async def run_until_signal(worker: Life, end: HardEnd) -> int:
    """Run the worker; SIGTERM or Ctrl-C stops it gracefully, a second one at once. Return the exit status.

    For the last thing that a process does: `end` comes when the worker does not.
    """
    running = asyncio.ensure_future(worker.run())
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def on_signal(number: int, _: FrameType | None) -> None:
        """Runs at once, also while an action holds up the event loop."""
        received.append(number)
        if len(received) == 1:
            end.within(worker.settings.grace + CLOSE_SECONDS, 1)
            loop.call_soon_threadsafe(worker.stop)
        else:
            end.within(FORCED_SECONDS, 128 + number)
            loop.call_soon_threadsafe(_force, running, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    failing = asyncio.ensure_future(_end_when_failing(worker, end, received))
    try:
        with ended_when_blocked(worker.settings.blocked_seconds, end):
            await running
    except asyncio.CancelledError:
        return 128 + received[-1] if received else 1
    except ExceptionGroup:
        log.exception("worker_failed", consequence="unfinished messages go back to the broker")
        return 1
    finally:
        failing.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    return 0


async def _end_when_failing(worker: Life, end: HardEnd, received: Sequence[int]) -> None:
    await worker.ending.wait()
    if not received:
        end.within(worker.settings.grace + CLOSE_SECONDS, 1)


def _force(running: asyncio.Task[None], number: int) -> None:
    log.warning(
        "worker_forced", signal=signal.Signals(number).name, consequence="unfinished messages go back to the broker"
    )
    running.cancel()
