"""The life of a message at a node, as a list of stages from the outside in.

A stage gets the message and what is left of its way; it may change the message, decide without going on, go on again,
or add to what comes back. The order carries meaning:

- What is carried out has been decided by everything below it; deduplication stands above, since a key is confirmed
  when its message is done.
- A run begins before anything is decided, and holding the line ends before anything is carried out. To know how long
  a message waits, it has the decision settled; what nobody has settled is settled when it is carried out.
- Whether the run is cancelled is asked before the message waits for its turn, when the turn has come, and before each
  further attempt.
- A limit is asked for each attempt, inside of the stage that makes attempts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from connectors import Forward, Message, Stop, Trash
from worker.actions.local import Call
from worker.deduplication.marks import Marks
from worker.patience import Patience
from worker.pipeline.back_off import BackOff, Failures
from worker.pipeline.carrying import Carrier
from worker.pipeline.decisions import Cancelled, Decided, Decision, Duplicate, Stage, UserTask, Way
from worker.pipeline.deduplication import Deduplication
from worker.pipeline.hold import Hold
from worker.pipeline.own_stages import guarded
from worker.pipeline.settle import Settler
from worker.pipeline.turns import Turns
from worker.protocol import headers as h
from worker.protocol.message import Visit
from worker.protocol.topology import Node, Role
from worker.runs.following import Runs, UncountedRuns


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
    hold: Hold = field(init=False)

    def __post_init__(self) -> None:
        """Make what all nodes share."""
        object.__setattr__(self, "hold", Hold(self.patience, self.max_deliveries))

    def way(self, node: Node) -> Way:
        """Return the way of a message through this node."""
        stages: list[Stage] = []
        if node.deduplicate is not None and self.marks is not None:
            stages.append(Deduplication(node.deduplicate, self.marks, self.patience, self._dropped(node)).stage)
        stages += [self.carrier.stage, *self._begun()]
        if node.repeat_holds_line:
            stages += [self.hold.stage, self.settler.stage]
        if self.turns.concern(node):
            stages.append(self.turns.leave)
        stages += [self._delivered_in_vain, *self._cancelled(), rejected, *map(guarded, self.added)]
        if node.role in _WITHOUT_ACTION:
            return around(stages, _WITHOUT_ACTION[node.role])
        back_off = BackOff(node, self.calls[node.id], self.failures, self.runs, self.patience)
        stages.append(back_off.stage)
        if self.turns.concern(node):
            stages += [self.turns.take, *self._cancelled()]
        return around(stages, back_off.attempt)

    def _dropped(self, node: Node) -> Way:
        """Return the way of a duplicate: counted like a message that is done."""
        rule = node.deduplicate
        assert rule is not None
        reason = f"duplicate: another message with the same {rule.by.text} came before"
        return around([self.carrier.stage, *self._begun()], decides(Duplicate(reason)))

    def _begun(self) -> Iterator[Stage]:
        if not isinstance(self.runs, UncountedRuns):
            yield self._begins

    def _cancelled(self) -> Iterator[Stage]:
        if not isinstance(self.runs, UncountedRuns):
            yield self._unless_cancelled

    async def _begins(self, visit: Visit, call_next: Way) -> Decided:
        """Note a run that begins here, or goes on because a person approved; before anything of it is sent on."""
        visit, beginning = self.runs.arrived(visit)
        decided = await call_next(visit)
        if beginning is not None:
            await beginning.written()
        return decided

    async def _delivered_in_vain(self, visit: Visit, call_next: Way) -> Decided:
        """Trash what has been delivered again and again."""
        deliveries = visit.delivery.deliveries
        if deliveries < self.max_deliveries:
            return await call_next(visit)
        reason = f"delivered {deliveries} times and never finished: does it crash the worker?"
        return Decided(visit, Trash(reason))

    async def _unless_cancelled(self, visit: Visit, call_next: Way) -> Decided:
        """End the message where somebody has cancelled its run."""
        return Decided(visit, Cancelled()) if self.runs.is_cancelled(visit) else await call_next(visit)


async def rejected(visit: Visit, call_next: Way) -> Decided:
    """End the message that a person has rejected."""
    if visit.headers.get(h.USER_TASK_STATE) == "reject":
        return Decided(visit, Stop("rejected by a person"))
    return await call_next(visit)


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


def around(stages: Sequence[Stage], end: Way) -> Way:
    """Return the way through the stages, the first one outermost, to its end."""
    way = end
    for stage in reversed(stages):
        way = partial(stage, call_next=way)
    return way
