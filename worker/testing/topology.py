"""A whole topology in memory, on the way that messages take in production."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from pydantic_core import to_json

from applications.http.transport import Transport
from connectors import Message, Outcome
from connectors.action import Action
from connectors.clock import clock_of_headers
from connectors.http import FindAccess, Http, of_class
from worker.accounts.opening import UserAccess
from worker.actions.applications import limited_applications
from worker.actions.binding import bind, checkpoints
from worker.actions.injection import Injection
from worker.actions.local import Call, contained
from worker.actions.registry import AnyAction, Registry, load_actions
from worker.actions.remote import RemoteActions
from worker.errors import HandBack
from worker.limits.call_observer import rate_noticed
from worker.limits.gate import ReservingGate
from worker.limits.memory import MemoryReservations
from worker.modes.standalone import BrokerParking, NoNotifier, OpenCounter, Standalone
from worker.patience import Patience
from worker.pipeline.back_off import Failures
from worker.pipeline.carrying import Carrier
from worker.pipeline.decisions import Stage
from worker.pipeline.handler import Handler
from worker.pipeline.settle import Settler
from worker.pipeline.stages import Stages
from worker.pipeline.turns import Turns
from worker.protocol import headers as h
from worker.protocol.message import Visit, encode
from worker.protocol.start import random_ids, start_headers
from worker.protocol.topology import Node, Topology
from worker.protocol.topology_file import load_topology
from worker.protocol.transport import Delivery
from worker.runs.following import UncountedRuns
from worker.settings.settings import Settings, load_settings
from worker.storage.opening import open_storage
from worker.testing.clock import FakeClock
from worker.testing.databases import new_trash
from worker.testing.memory import MemoryBroker, RunCounts, read
from worker.testing.transports import no_network
from worker.trash.deciding import Decider
from worker.trash.entry import Entry, EntryState, EntryType
from worker.trash.keeping import Keeper
from worker.trash.transfer import from_line

Actions = Iterable[AnyAction | type[AnyAction] | str]
"""Actions, classes of them, or names of modules that hold them."""


class EndlessRun(AssertionError):
    """Messages go round in a circle."""


@dataclass(frozen=True, slots=True)
class ActionCall:
    """One call of a node's action."""

    message: Message[Any]
    """As the node received it."""
    outcome: Outcome


class InMemoryTopology:
    """Runs a topology without a broker: `async with InMemoryTopology("topology.json", actions=["shop"]) as topology`.

    Messages go the way that they go in production, through the same code: limits, repeats, batches with their pages,
    trash and user tasks included. Only the broker is memory, the clock jumps over what would be waiting, and the
    trash is a file of its own. A node's `settings.timeout` (seconds) is kept by the real clock. Methods that take a
    node, by its id or name, raise `ValueError` for one that is not there.
    """

    def __init__(
        self,
        topology: str | Path | Mapping[str, Any] | Topology,
        actions: Actions = (),
        *,
        http: Transport | None = None,
        access: FindAccess = of_class,
        nodes: Sequence[str] = (),
        stages: Sequence[Stage] = (),
        max_messages: int = 10_000,
    ) -> None:
        """Take a topology file, its path or content.

        `http` answers the requests of the actions: `answering(...)`, a `Cassette`, or `network()`; without it,
        a request fails the test. `access` finds an application's base URL, headers and sign-in; by default they are
        those of its class. Only `nodes` are worked on, by default all; in the queues of others messages
        stay. `stages` of your own stand around each action. More than `max_messages` in one `run` raise `EndlessRun`.
        """
        self._directory = TemporaryDirectory(prefix="orchesty-worker-")
        self._topology = _load(topology, Path(self._directory.name))
        self._nodes = self._topology.select(tuple(nodes))
        self._max_messages = max_messages
        self._stages = stages
        self.clock = FakeClock()
        self._broker = MemoryBroker(self._topology, self.clock)
        self._registry = _registry(actions, Http(transport=http or no_network()))
        self._registry.http.access = access
        self._registry.http.rate_noticed = rate_noticed
        settings = self._settings(topology)
        starter = Standalone(settings).starter(self._topology, self._broker)
        accounts = access.accounts if isinstance(access, UserAccess) else None
        self._injection = Injection(self._registry, open_storage(settings.storage_address), starter, accounts)
        self._remote = RemoteActions()
        self._store = new_trash(self._directory.name)
        self._calls: defaultdict[str, list[ActionCall]] = defaultdict(list)
        self._handler = self._make_handler()
        self._tasks: dict[asyncio.Task[None], Node] = {}

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what is still in work and close everything."""
        await self._drop()
        for part in (self._registry, self._injection, self._remote, self._store):
            await part.close()
        self._directory.cleanup()

    async def start(
        self,
        node: str,
        data: Any = None,
        *,
        body: str | None = None,
        user: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> str:
        """Start a process at a node with `data` as JSON, or with this `body`; `run` does the work.

        Returns the correlation id.
        """
        target = self._node(node)
        own = {h.PROCESS_STARTED: self.clock.milliseconds, **(headers or {})}
        all_headers = start_headers(random_ids(), target, user, own)
        text = to_json(data).decode() if body is None else body
        self._broker.put(target.exchange, encode(all_headers, text))
        return h.text(all_headers[h.CORRELATION_ID])

    async def send(self, entry: Entry) -> None:
        """Send a trashed message, of this topology or from a file (`load_trash`), to the node that it came from."""
        target = self._node(entry.node_id if entry.node_id in {node.id for node in self._nodes} else entry.node_name)
        raw = entry.content if entry.body is None else encode(h.without(entry.headers, h.TRANSIENT), entry.body)
        self._broker.put(target.exchange, raw)

    async def run(self, within: timedelta | None = None) -> None:
        """Work until nothing is left to do, or as far as time passes: `within=timedelta(0)` lets none pass.

        Raises `EndlessRun`, `UnexpectedRequest`, and `PublishRefused` for a message that no worker could publish.
        """
        until = None if within is None else self.clock() + within.total_seconds()
        left = self._max_messages
        try:
            with contained():
                while True:
                    left = await self._work(left)
                    if not self.clock.advance(until):
                        return
        except BaseException:
            await self._drop()
            raise

    def messages(self, node: str) -> list[Message[Any]]:
        """Return the messages that have arrived at a node or follower, in order, repeats and further pages included."""
        return [read(raw) for raw in self._broker.arrived[self._exchange(node)]]

    def data(self, node: str) -> list[Any]:
        """Return the bodies of these messages, read as JSON."""
        return [message.data for message in self.messages(node)]

    def calls(self, node: str) -> list[ActionCall]:
        """Return the calls of a node's action that have ended, in order."""
        return list(self._calls[self._node(node).id])

    def counts(self, correlation_id: str) -> RunCounts:
        """Return how a run stands."""
        return self._broker.runs[correlation_id]

    async def trash(self) -> list[Entry]:
        """Return what lies in the trash, oldest first."""
        return [entry for entry in await self._store.waiting() if entry.type is EntryType.TRASH]

    async def user_tasks(self) -> list[Entry]:
        """Return the user tasks that wait for a person, oldest first."""
        return [entry for entry in await self._store.waiting() if entry.type is EntryType.USER_TASK]

    async def approve(self, *entries: Entry) -> None:
        """Send entries on, as a person would; `run` does the work."""
        await Decider(self._store, self._broker).decide([entry.id for entry in entries], EntryState.APPROVED)

    async def reject(self, *entries: Entry) -> None:
        """Reject entries, as a person would."""
        await Decider(self._store, self._broker).decide([entry.id for entry in entries], EntryState.REJECTED)

    async def _work(self, left: int) -> int:
        """Work until everybody waits for the clock; return how many messages more may be taken."""
        while True:
            left -= self._take()
            if left < 0:
                raise EndlessRun(self._endless())
            if len(self._tasks) == self.clock.waiting:
                return left
            self.clock.changed.clear()
            waiting = asyncio.ensure_future(self.clock.changed.wait())
            await asyncio.wait({waiting, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            for task in [task for task in self._tasks if task.done()]:
                del self._tasks[task]
                task.result()

    def _take(self) -> int:
        """Start the work on messages, as many at a time as each node's prefetch allows."""
        in_work, taken = Counter(node.id for node in self._tasks.values()), 0
        for node in self._nodes:
            queue = self._broker.queues[node.exchange]
            while queue and in_work[node.id] < node.prefetch:
                self._tasks[asyncio.ensure_future(self._deliver(node, queue.popleft()))] = node
                in_work[node.id] += 1
                taken += 1
        return taken

    async def _deliver(self, node: Node, delivery: Delivery) -> None:
        clock_of_headers.set(lambda: self.clock.milliseconds)
        try:
            await self._handler.deliver(node, delivery)
        except HandBack:
            self._broker.hand_back(node.exchange, delivery)
        if self._broker.refused is not None:
            raise self._broker.refused

    async def _drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _endless(self) -> str:
        counts = ", ".join(
            f"{node.name} {self._handler.counts[node.id, 'arrived']}" for node in self._nodes if node.followers
        )
        return (
            f"more than {self._max_messages} messages in one run; taken so far: {counts}. "
            "Do followers lead round in a circle, or pages never end? If not, allow more with max_messages."
        )

    def _settings(self, topology: object) -> Settings:
        """Return settings whose data storage is ours; other topologies are looked for beside the one that is run."""
        own = Path(topology) if isinstance(topology, str | Path) else Path(self._directory.name) / "topology.json"
        storage = f"sqlite:///{self._directory.name}/storage.sqlite"
        return load_settings(mode="standalone", topology=own, storage_url=storage)

    def _make_handler(self) -> Handler:
        defaults = Settings.model_fields
        reservations = MemoryReservations(self.clock, guard_seconds=defaults["limit_guard"].default)
        limited = limited_applications(self._nodes, self._registry)
        calls = bind(self._nodes, self._registry, self._remote)
        patience, runs = Patience(self.clock.wait), UncountedRuns()
        trash = Keeper(self._store, patience)
        settler = Settler(BrokerParking(), OpenCounter())
        carrier = Carrier(
            settler=settler, outlet=self._broker, trash=trash, notifier=NoNotifier(), runs=runs, patience=patience
        )
        gate = ReservingGate(reservations, self.clock, limited, self._registry.http.access)
        stages = Stages(
            calls={node_id: self._recorded(node_id, call) for node_id, call in calls.items()},
            carrier=carrier,
            settler=settler,
            turns=Turns(gate, patience),
            failures=Failures(defaults["max_failures"].default, self.clock),
            runs=runs,
            patience=patience,
            max_deliveries=defaults["max_deliveries"].default,
            added=self._stages,
            checkpoints=checkpoints(self._nodes, self._registry),
        )
        return Handler(self._nodes, stages, trash, defaults["max_message_bytes"].default)

    def _recorded(self, node_id: str, call: Call) -> Call:
        async def recorded(visit: Visit) -> Outcome:
            message: Message[Any] = Message(dict(visit.headers), visit.body)
            outcome = await call(visit)
            self._calls[node_id].append(ActionCall(message, outcome))
            return outcome

        return recorded

    def _node(self, reference: str) -> Node:
        for node in self._topology.nodes:
            if reference == node.id:
                return node
        for node in self._topology.nodes:
            if reference == node.name:
                return node
        raise ValueError(f"no node {reference!r}; there are: {', '.join(node.name for node in self._topology.nodes)}")

    def _exchange(self, reference: str) -> str:
        followers = [follower for node in self._topology.nodes for follower in node.followers]
        for follower in followers:
            if reference in {follower.id, follower.name}:
                return follower.exchange
        return self._node(reference).exchange


def _load(topology: str | Path | Mapping[str, Any] | Topology, directory: Path) -> Topology:
    if isinstance(topology, Topology):
        return topology
    if isinstance(topology, Mapping):
        path = directory / "topology.json"
        path.write_text(json.dumps(topology))
        return load_topology(path)
    return load_topology(Path(topology))


def _registry(actions: Actions, http: Http) -> Registry:
    given, own = list(actions), list[AnyAction]()
    for action in given:
        if isinstance(action, Action):
            own.append(action)
        elif isinstance(action, type):
            own.append(action())
    return load_actions([name for name in given if isinstance(name, str)], http, own)


def load_trash(path: str | Path) -> list[Entry]:
    """Return the entries of a file; give one to `run_action` as its data, or to `InMemoryTopology.send`.

    Raises `ValueError` that names the line that is wrong.
    """
    entries = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                entries.append(from_line(line))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return entries
