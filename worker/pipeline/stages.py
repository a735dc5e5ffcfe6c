"""The life of a message at a node, as a list of stages from the outside in.

A stage gets the message and what is left of its way; it may change the message, decide without going on, go on again,
or add to what comes back. One that only looks at the message on its way in returns what it is called with next, without
awaiting it: that costs a message less. The order carries meaning:

- What is carried out has been decided by everything below it; deduplication stands above, since a key is confirmed
  when its message is done.
- A run begins before anything is decided, and holding the line ends before anything is carried out. To know how long
  a message waits, it has the decision settled; what nobody has settled is settled when it is carried out.
- Whether the run is cancelled is asked before each attempt at an action, before the user's own stages begin, and where
  there is no action before anything is decided: what a cancelled run leaves to a person is cancelled, not rejected.
- A limit is asked for each attempt, inside of the stage that makes attempts; the time of an action is measured without
  what it has waited for its turn.
"""

import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from connectors import Forward, Message, Outcome, Stop, Trash
from connectors.audit import Checkpoint
from worker.actions.local import Call
from worker.deduplication.marks import Marks
from worker.modes.services import Entities, Figures, Installation
from worker.patience import Patience
from worker.pipeline.audit import audited, note
from worker.pipeline.back_off import BackOff, Failures
from worker.pipeline.carrying import Carrier
from worker.pipeline.decisions import Cancelled, Decided, Decision, Duplicate, Stage, UserTask, Way
from worker.pipeline.deduplication import Deduplication
from worker.pipeline.entities import Kept
from worker.pipeline.figures import Figured
from worker.pipeline.hold import Hold
from worker.pipeline.installation import Within
from worker.pipeline.own_stages import guarded
from worker.pipeline.settle import Settler
from worker.pipeline.turns import Turns
from worker.prometheus import Histogram
from worker.protocol import headers as h
from worker.protocol.message import Visit
from worker.protocol.topology import Deduplicate, Node, Role
from worker.runs.following import Runs, UncountedRuns, Written


@dataclass(frozen=True)
class Stages:
    """Puts the ways of the nodes together."""

    calls: Mapping[str, Call]
    """By id of the nodes that have an action."""
    carrier: Carrier
    settler: Settler
    turns: Turns
    failures: Failures
    runs: Runs
    patience: Patience
    max_deliveries: int
    marks: Marks | None = None
    """Those of nodes with `deduplicate`."""
    added: Sequence[Stage] = ()
    """The user's own. They stand around the attempts at an action, with their waiting, and see what is decided."""
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    """What the actions of nodes say is to be noted of each message, by node id."""
    waiting_seconds: Mapping[str, Histogram] = field(default_factory=dict)
    action_seconds: Mapping[str, Histogram] = field(default_factory=dict)
    """Where the times of nodes are noted, by node id; of others nobody asks."""
    figures: Figures | None = None
    """Who hears how long messages take, if anybody does."""
    entities: Entities | None = None
    """Who keeps the entities that messages name, if anybody does."""
    installation: Installation | None = None
    """Who knows the limits of the installation, if it has any."""
    hold: Hold = field(init=False)

    def __post_init__(self) -> None:
        """Make what all nodes share."""
        object.__setattr__(self, "hold", Hold(self.patience, self.max_deliveries))

    def way(self, node: Node) -> Way:
        """Return the way of a message through this node."""
        counts, limits = not isinstance(self.runs, UncountedRuns), self.turns.concern(node)
        acts = node.role not in _WITHOUT_ACTION
        back_off = BackOff(node, self.calls[node.id], self.failures, self.patience) if acts else None
        stages = [
            Figured(self.figures).stage if self.figures else None,
            self._waited(node),
            self._deduplication(node),
            self.carrier.stage,
            self.begins if counts else None,
            self.hold.stage if node.repeat_holds_line else None,
            self.settler.stage if node.repeat_holds_line else None,
            self.turns.leave if limits else None,
            Kept(self.entities).stage if self.entities else None,
            self.delivered_in_vain,
            self.unless_cancelled if counts and (self.added or not acts) else None,
            rejected,
            Within(self.installation).stage if self.installation else None,
            *map(guarded, self.added),
            Audited(self.checkpoints.get(node.id)).stage if back_off else None,
            back_off.stage if back_off else None,
            self.unless_cancelled if counts and acts else None,
            self.turns.take if limits else None,
            self._timed(node),
        ]
        return around(filter(None, stages), back_off.attempt if back_off else _WITHOUT_ACTION[node.role])

    def _waited(self, node: Node) -> Stage | None:
        return Waited(self.waiting_seconds[node.id]).stage if node.id in self.waiting_seconds else None

    def _timed(self, node: Node) -> Stage | None:
        return Timed(self.action_seconds[node.id]).stage if node.id in self.action_seconds else None

    def _deduplication(self, node: Node) -> Stage | None:
        if node.deduplicate is None or self.marks is None:
            return None
        return Deduplication(node.deduplicate, self.marks, self.patience, self._dropped(node.deduplicate)).stage

    def _dropped(self, rule: Deduplicate) -> Way:
        """Return the way of a duplicate: counted like a message that is done."""
        reason = f"duplicate: another message with the same {rule.by.text} came before"
        return around([self.carrier.stage, self.begins], decides(Duplicate(reason)))

    def begins(self, visit: Visit, call_next: Way) -> Awaitable[Decided]:
        """Note a run that begins here, or goes on because a person approved; before anything of it is sent on."""
        visit, beginning = self.runs.arrived(visit)
        return call_next(visit) if beginning is None else _when_written(beginning, call_next(visit))

    def delivered_in_vain(self, visit: Visit, call_next: Way) -> Awaitable[Decided]:
        """Trash what has been delivered again and again."""
        deliveries = visit.delivery.deliveries
        if deliveries < self.max_deliveries:
            return call_next(visit)
        return decides(Trash(f"delivered {deliveries} times and never finished: does it crash the worker?"))(visit)

    def unless_cancelled(self, visit: Visit, call_next: Way) -> Awaitable[Decided]:
        """End the message where somebody has cancelled its run."""
        return decides(Cancelled())(visit) if self.runs.is_cancelled(visit) else call_next(visit)


async def _when_written(beginning: Written, deciding: Awaitable[Decided]) -> Decided:
    decided = await deciding
    await beginning.written()
    return decided


def rejected(visit: Visit, call_next: Way) -> Awaitable[Decided]:
    """End the message that a person has rejected."""
    is_rejected = visit.headers.get(h.USER_TASK_STATE) == "reject"
    return decides(Stop("rejected by a person"))(visit) if is_rejected else call_next(visit)


@dataclass(frozen=True, slots=True)
class Audited:
    """Notes what becomes of messages, where the action says what is to be noted."""

    declared: Checkpoint | None = None
    """What the class of the action says."""

    async def stage(self, visit: Visit, call_next: Way) -> Decided:
        """Write the checkpoint that the action has set, and take it out of what is sent on; else the declared one."""
        decided = await call_next(visit)
        message = getattr(decided.decision, "message", None)
        if message is not None and h.AUDIT_CHECKPOINT in message.headers:
            assert isinstance(decided.decision, Outcome), "only an action sets headers"
            return replace(decided, decision=audited(decided.visit, decided.decision))
        if self.declared is not None and isinstance(decided.decision, Outcome):
            note(decided.visit, decided.decision, self.declared)
        return decided


@dataclass(frozen=True, slots=True)
class Waited:
    """Measures how long ago each message was published that comes from a queue."""

    seconds: Histogram

    def stage(self, visit: Visit, call_next: Way) -> Awaitable[Decided]:
        """Measure on the way in."""
        delivery = visit.delivery
        if delivery.timestamp is not None and delivery.is_from_queue:
            self.seconds.observe(max(time.time() - delivery.timestamp / 1000, 0))
        return call_next(visit)


@dataclass(frozen=True, slots=True)
class Timed:
    """Measures how long the action of a node takes."""

    seconds: Histogram

    async def stage(self, visit: Visit, call_next: Way) -> Decided:
        """Measure around the call."""
        started = time.perf_counter()
        try:
            return await call_next(visit)
        finally:
            self.seconds.observe(time.perf_counter() - started)


async def pass_on(visit: Visit) -> Decided:
    """Forward the message as it came: the end of the way into a node without an action."""
    return Decided(visit, Forward(Message(visit.headers, visit.body)))


async def ask_person(visit: Visit) -> Decided:
    """Let the message wait for a person, unless one has accepted it: the end of the way into a user task."""
    is_accepted = visit.headers.text(h.USER_TASK_STATE) == "accept" or visit.headers.text(h.SOURCE) == "auto"
    return await pass_on(visit) if is_accepted else Decided(visit, UserTask())


_WITHOUT_ACTION: Mapping[Role, Way] = {Role.PASS_ON: pass_on, Role.USER_TASK: ask_person}


def decides(decision: Decision) -> Way:
    """Return the end of a way at which everything is decided alike."""

    async def decided(visit: Visit) -> Decided:
        return Decided(visit, decision)

    return decided


def around(stages: Iterable[Stage], end: Way) -> Way:
    """Return the way through the stages, the first one outermost, to its end."""
    way = end
    for stage in reversed(list(stages)):
        way = partial(stage, call_next=way)
    return way
