"""The way of a message with real stores and without a broker: what it publishes is packed into frames and read."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from worker.actions.local import contained, local_call, timed
from worker.actions.registry import AnyAction
from worker.app.metrics import WorkerMetrics
from worker.broker import frames
from worker.deduplication.opening import open_marks
from worker.limits.gate import ReservingGate
from worker.limits.memory import MemoryReservations
from worker.modes.standalone import BrokerParking, NoNotifier, OpenCounter
from worker.patience import Patience
from worker.pipeline.back_off import Failures
from worker.pipeline.carrying import Carrier
from worker.pipeline.decisions import Stage
from worker.pipeline.handler import OUTCOMES, Handler
from worker.pipeline.settle import Settler
from worker.pipeline.stages import Stages
from worker.pipeline.turns import Turns
from worker.protocol.message import Envelope, decode
from worker.protocol.topology import Node, Topology
from worker.protocol.transport import Delivery, Publication
from worker.runs.service import CountingService
from worker.trash.entry import Entry
from worker.trash.keeping import Keeper
from worker.trash.opening import open_trash
from worker.trash.store import TrashStore

LARGEST = 32 * 1024 * 1024


@dataclass(slots=True)
class Read:
    """An outlet that packs each message as the publisher does, and reads it as a follower does."""

    sent: Counter[str] = field(default_factory=Counter)
    """Messages by exchange."""
    envelopes: list[Envelope] = field(default_factory=list)

    async def publish(self, publications: Sequence[Publication], *, is_patient: bool = True) -> None:
        """Take what the broker would take."""
        for one in publications:
            packed = frames.publish(
                1, one.exchange, one.routing_key, one.body, message_id=b"0" * frames.MESSAGE_ID_LENGTH,
                timestamp=one.timestamp or 0, mandatory=one.mandatory, frame_max=131_072,
            )  # fmt: skip
            assert one.body[:1000] in packed
            self.envelopes.append(decode(one.body, LARGEST))
            self.sent[one.exchange] += 1


@dataclass(slots=True)
class Handled:
    """A handler, and where its messages end."""

    handler: Handler
    stages: Stages
    outlet: Read
    store: TrashStore
    nodes: Sequence[Node]
    patience: Patience

    async def deliver(self, node: Node, raw: bytes, timestamp: int | None = None) -> None:
        """Handle a delivery."""
        await self.handler.deliver(node, Delivery(raw, timestamp))

    async def entries(self) -> Sequence[Entry]:
        """Return what lies in the trash, user tasks among them."""
        return await self.store.waiting()

    @property
    def arrived(self) -> int:
        """Deliveries."""
        return sum(self.handler.counts[node.id, "arrived"] for node in self.nodes)

    @property
    def ended(self) -> int:
        """Deliveries of which something has become."""
        return sum(self.handler.counts[node.id, kind] for node in self.nodes for kind in OUTCOMES)


@asynccontextmanager
async def handling(
    folder: Path,
    nodes: Sequence[Node],
    actions: Mapping[str, AnyAction],
    *,
    largest: int = LARGEST,
    added: Sequence[Stage] = (),
    settler: type[Settler] = Settler,
) -> AsyncIterator[Handled]:
    """Handle messages of these nodes; `actions` are by node id. Runs are counted as in standalone mode."""
    outlet, patience = Read(), Patience()
    store, marks = open_trash(f"sqlite:///{folder}/trash.sqlite", 0), open_marks(f"sqlite:///{folder}/marks.sqlite")
    topology = Topology("t1", "sample", tuple(nodes), None)
    metrics = WorkerMetrics(topology, nodes)
    runs = CountingService(
        f"sqlite:///{folder}/processes.sqlite", topology, outlet, keep_days=0, webhook=None, start_node=None
    )
    trash, settles = Keeper(store, patience), settler(BrokerParking(), OpenCounter(), largest)
    carrier = Carrier(
        settler=settles, outlet=outlet, trash=trash, notifier=NoNotifier(), runs=runs.runs, patience=patience
    )
    stages = Stages(
        calls={own: timed(local_call(action)) for own, action in actions.items()},
        carrier=carrier,
        settler=settles,
        turns=Turns(ReservingGate(MemoryReservations(time.monotonic, guard_seconds=0)), patience),
        failures=Failures(10, time.monotonic),
        runs=runs.runs,
        patience=patience,
        max_deliveries=18,
        marks=marks,
        added=added,
        waiting_seconds=metrics.waiting_seconds,
        action_seconds=metrics.action_seconds,
    )
    with contained():
        counting = asyncio.create_task(runs.run())
        try:
            yield Handled(Handler(nodes, stages, trash, LARGEST), stages, outlet, store, nodes, patience)
        finally:
            counting.cancel()
            await asyncio.wait([counting])
            for part in (store, marks, runs):
                await part.close()
