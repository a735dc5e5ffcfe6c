"""Lists, calls and tests of actions: `/connector/list`, `/custom-node/{name}/process` and so on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from connectors import Forward, Limited, Message, Outcome, Page, Repeat, Stop, Trash
from connectors.configured import Configured
from connectors.kind import Kind
from connectors.secrets import without_secrets
from worker.actions.local import local_call, timed
from worker.actions.outcomes import is_ours
from worker.actions.registry import AnyAction, Registry
from worker.errors import ActionUnreachable
from worker.limits.calls import WAIT_SECONDS, CallGate
from worker.limits.gate import Held
from worker.patience import Patience
from worker.pipeline.decisions import Cancelled, Decided, Stage, UserTask, Way
from worker.pipeline.direct import direct_way
from worker.pipeline.settle import own_messages
from worker.pipeline.stages import Timed
from worker.pipeline.turns import Turns
from worker.prometheus import Family
from worker.protocol import headers as h
from worker.protocol.message import Envelope as Received
from worker.protocol.message import Visit, current_visit, now_ms, receive
from worker.protocol.topology import Node, Role
from worker.protocol.transport import Delivery
from worker.service.envelope import Envelope, answer, failure, sent_envelope
from worker.service.errors import Refused, UnknownService
from worker.service.failures import failed, told
from worker.service.http import Reply, Request, error_reply, json_reply
from worker.service.metrics import DESCRIBED, TRASHED, UNREACHABLE, CallMetrics, call_families, outcome_name
from worker.service.repeaters import NodeRepeaters
from worker.service.routing import Places, Route

log = structlog.get_logger()

LIST_SECONDS = 1.0
VERBS = {Kind.CONNECTOR: "action", Kind.CUSTOM_NODE: "process", Kind.BATCH: "action"}
_EVENTS: Mapping[type[Repeat | Limited | Trash], str] = {
    Repeat: "message_repeated",
    Limited: "message_limited",
    Trash: "message_trashed",
}


@dataclass(frozen=True, slots=True)
class _Ready:
    action: AnyAction
    way: Way
    metrics: CallMetrics


class ActionRoutes:
    """Answers for the actions of this process. Those that only a topology file can configure are not among them."""

    def __init__(
        self,
        registry: Registry,
        stages: Sequence[Stage],
        *,
        seconds: float,
        is_debugging: bool = False,
        repeaters: NodeRepeaters | None = None,
        gate: CallGate | None = None,
    ) -> None:
        """`seconds` is how long an action may take.

        `repeaters` knows what people set for the nodes of callers, `gate` the limits that callers do not keep.
        """
        self._turns = Turns(gate, Patience()) if gate else None
        self._repeaters = repeaters
        self._seconds = seconds
        self._is_debugging = is_debugging
        self._registry = registry
        self._stages = stages
        self._described = {kind: CallMetrics(kind, DESCRIBED) for kind in VERBS}
        self._ready = {
            (action.kind, action.name): self._made_ready(action, CallMetrics(action.kind, action.name))
            for action in registry
            if not isinstance(action, Configured)
        }

    def _made_ready(self, action: AnyAction, metrics: CallMetrics) -> _Ready:
        is_limited = self._turns is not None and self._turns.concern(_node(action, {}, self._seconds))
        turns = [self._turns.take] if self._turns is not None and is_limited else []
        nearest = (*turns, Timed(metrics.seconds).stage)
        way = direct_way(timed(local_call(action, failed)), self._stages, action.checkpoint, nearest)
        return _Ready(action, way, metrics)

    def families(self) -> Iterator[Family]:
        """Return the metrics of calls."""
        yield from call_families([*(ready.metrics for ready in self._ready.values()), *self._described.values()])

    def routes(self) -> Iterator[Route]:
        """Return the routes."""
        for kind, verb in VERBS.items():
            path = f"/{kind}/{{name}}/{verb}"
            call, test = partial(self._call, kind), partial(self._test, kind)
            yield Route("GET", f"/{kind}/list", partial(self._list, kind), LIST_SECONDS, f"List each {kind}")
            yield Route("POST", path, call, self._seconds + WAIT_SECONDS + 1, f"Call a {kind}")
            yield Route("GET", f"{path}/test", test, LIST_SECONDS, f"Ask whether a {kind} is there")

    async def _list(self, kind: Kind, request: Request, places: Places) -> Reply:
        found = [ready.action for (of, _), ready in self._ready.items() if of is kind]
        return json_reply([_shown(action) for action in sorted(found, key=lambda action: action.name.lower())])

    async def _test(self, kind: Kind, request: Request, places: Places) -> Reply:
        self._found(kind, places["name"])
        return json_reply([])

    async def _call(self, kind: Kind, request: Request, places: Places) -> Reply:
        given = await sent_envelope(request)
        try:
            ready = self._found(kind, places["name"])
        except Refused as error:
            return failure(given, str(error))
        return await self._answer(ready, given)

    def _found(self, kind: Kind, name: str) -> _Ready:
        if (kind, name) in self._ready:
            return self._ready[kind, name]
        described = self._registry.describe(kind, name)
        if described is None:
            raise UnknownService(kind, name)
        return self._made_ready(described, self._described[kind])

    async def _answer(self, ready: _Ready, given: Envelope) -> Reply:
        visit = _visit(ready.action, given, self._seconds)
        current_visit.set(visit)
        try:
            decided = await ready.way(visit)
        except ActionUnreachable as error:
            ready.metrics.counts[UNREACHABLE] += 1
            log.warning("action_unreachable", cause=str(error))
            return error_reply(str(error), 504)
        outcome = _outcome(decided)
        if isinstance(outcome, Repeat) and self._repeaters is not None:
            outcome = await self._repeaters.applied(outcome, visit.node.id)
        try:
            outcome = _of_one_message(outcome, ready.action, visit)
            reply = answer(given, outcome, is_debugging=self._is_debugging)
        except BaseException as error:  # an outcome may hold objects of the action's own classes
            if is_ours(error):
                raise
            ready.metrics.counts[TRASHED] += 1
            return _unsendable(given, ready.action.name, error)
        ready.metrics.counts[outcome_name(outcome)] += 1
        _log(outcome)
        return reply


def _unsendable(given: Envelope, action: str, error: BaseException) -> Reply:
    """Answer where an outcome cannot be written as JSON, as a worker puts such a message into the trash."""
    reason = f"the outcome of {action} cannot be sent: {without_secrets(told(error))}"
    log.info(_EVENTS[Trash], reason=reason)
    return failure(given, reason)


def _shown(action: AnyAction) -> dict[str, str]:
    application = getattr(action, "application", None)
    return {"name": action.name} | ({"app": application.key} if application is not None else {})


def _visit(action: AnyAction, given: Envelope, seconds: float) -> Visit:
    node = _node(action, given.headers, seconds)
    return receive(node, Received(given.text, dict(given.headers)), Delivery(b"", now_ms(), is_from_queue=False))


def _node(action: AnyAction, headers: Mapping[str, Any], seconds: float) -> Node:
    """Return the node of the caller, as far as its message says."""
    return Node(
        id=h.text(headers.get(h.NODE_ID)),
        name=h.text(headers.get(h.NODE_NAME)) or action.name,
        topology_id=h.text(headers.get(h.TOPOLOGY_ID)),
        topology_name=h.text(headers.get(h.TOPOLOGY_NAME)),
        role=Role(action.kind),
        application=getattr(getattr(action, "application", None), "key", ""),
        url="",
        action_path=f"/{action.kind}/{action.name}/{VERBS[action.kind]}",
        timeout_seconds=seconds,
        prefetch=1,
        headers={},
        followers=(),
        repeater=None,
        stamp={},
    )


def _outcome(decided: Decided) -> Outcome:
    """Return what a caller can be told. Of our own stages' decisions only outcomes make sense here."""
    match decided.decision:
        case Held() as held:
            return _limited(decided.visit, held)
        case Cancelled():
            return Stop("the run was cancelled")
        case Forward() | Page() | Repeat() | Limited() | Stop() | Trash():
            return decided.decision
        case UserTask():
            return Trash("a stage lets the message wait for a person, which a call over HTTP cannot")
    return Trash(f"a stage decided {type(decided.decision).__name__}, which a call over HTTP cannot carry out")


def _limited(visit: Visit, held: Held) -> Limited:
    """Return what lets the message wait at the caller, which is told for which limits."""
    keys = [visit.headers.text(h.LIMITER_KEY).strip(";"), *map(str, held.limits)]
    headers = {**visit.headers, h.LIMITER_KEY: ";".join(filter(None, keys))} if held.limits else visit.headers
    return Limited(f"limit of {held.application}", message=Message(headers, visit.body))


def _of_one_message(outcome: Outcome, action: AnyAction, visit: Visit) -> Outcome:
    """Return what a caller can take: of a batch several messages, of other actions one."""
    if action.kind is Kind.BATCH or not isinstance(outcome, Page):
        return outcome
    if outcome.next_cursor is None and not outcome.items:
        return Stop(outcome.reason or "there are no messages to go on", outcome.message)
    if outcome.next_cursor is None and len(outcome.items) == 1:
        base = visit.headers if outcome.message is None else outcome.message.headers
        ((own, body),) = own_messages(outcome.items, base)
        return Forward(Message({**base, **own}, body), outcome.to, outcome.reason)
    return Trash(
        f"{action.kind} {action.name} returned a page of {len(outcome.items)} messages, and over HTTP it can hand over "
        "one: make it a batch, or run the topology with this worker"
    )


def _log(outcome: Outcome) -> None:
    """Say what was answered where the message does not simply go on, as for a message of a queue."""
    for kind, event in _EVENTS.items():
        if isinstance(outcome, kind):
            log.info(event, reason=outcome.reason)
