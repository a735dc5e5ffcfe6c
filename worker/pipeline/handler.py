"""The way of a message: decode, gate, action, outcome, publish or keep, count. The caller acknowledges.

delivery ─ decode ─► visit ─ gate ─► action ─► outcome ─ settle ─► publish · keep ─ count ─► acknowledged
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import structlog

from connectors import Forward, Limited, Message, Outcome, Page, Repeat, Stop, Trash
from connectors.errors import StorageAway
from worker.actions.local import Call
from worker.deduplication.marks import Marks, Taken
from worker.errors import ActionUnreachable, HandBack, UnreadableMessage
from worker.limits.call_observer import hearing
from worker.limits.gate import Gate, Go, Held
from worker.modes.mode import TrashNotice
from worker.patience import Wait, wait_for
from worker.pipeline.audit import audited
from worker.pipeline.back_off import Failures
from worker.pipeline.decisions import Cancelled, Decision, Duplicate, UserTask
from worker.pipeline.deduplication import Once
from worker.pipeline.hold import Line
from worker.pipeline.settle import Keep, Settlement, Settler
from worker.protocol import headers as h
from worker.protocol.message import Visit, current_visit, decode, receive
from worker.protocol.topology import LIMITED_ROLES, Node, Role
from worker.protocol.transport import Delivery, Outlet
from worker.runs.following import Runs, Written
from worker.runs.run import MessageState
from worker.trash.entry import Entry, EntryType
from worker.trash.making import entry_of_message, unreadable_entry
from worker.trash.store import STORE_ERRORS, TrashStore

log = structlog.get_logger()

LONGEST_PAUSE_SECONDS = 30
STORE_SECONDS = 60
"""How long the trash may take for one entry."""

_TRASHED = ("message_trashed", "trashed")
_SET_ASIDE: Mapping[type, tuple[str, str]] = {
    Repeat: ("message_repeated", "repeated"),
    Limited: ("message_limited", "limited"),
    Held: ("message_limited", "limited"),
    UserTask: ("user_task_kept", "kept"),
    Cancelled: ("message_cancelled", "cancelled"),
}
"""Log event and count of what waits, or ends without its work done."""

OUTCOMES = ("done", "duplicate", "done_before", "repeated", "limited", "kept", "trashed", "cancelled")
"""What can become of a message at a node."""


class Handler:
    """Takes each message through one node's work. One handler serves all nodes of the process."""

    def __init__(
        self,
        *,
        calls: Mapping[str, Call],
        gate: Gate,
        settler: Settler,
        failures: Failures,
        publisher: Outlet,
        store: TrashStore,
        notice: TrashNotice,
        runs: Runs,
        max_message_bytes: int,
        max_deliveries: int,
        marks: Marks | None = None,
        wait: Wait = wait_for,
    ) -> None:
        """`marks` are those of nodes with `deduplicate`."""
        self._calls = calls
        self._gate = gate
        self._settler = settler
        self._failures = failures
        self._publisher = publisher
        self.store = store
        self._notice = notice
        self._runs = runs
        self._max_message_bytes = max_message_bytes
        self._max_deliveries = max_deliveries
        self._wait = wait
        self._stopping = asyncio.Event()
        self._once = Once(marks, self._pause) if marks else None
        self._line = Line(settler, self.decide, self._pause, max_deliveries)
        self.counts: Counter[tuple[str, str]] = Counter()
        """By node id and what happened: arrived, or one of `OUTCOMES`."""

    def stop_waiting(self) -> None:
        """Hand back the messages that wait for a limit or for an action that does not answer."""
        self._stopping.set()

    async def deliver(self, node: Node, delivery: Delivery) -> None:
        """Handle a delivery; when this returns it may be acknowledged."""
        self.counts[node.id, "arrived"] += 1
        try:
            envelope = decode(delivery.raw, self._max_message_bytes)
        except UnreadableMessage as error:
            delivery.is_settling = True
            await self._keep_unreadable(node, delivery, str(error))
            return
        visit = receive(node, envelope, delivery.timestamp)
        current_visit.set(visit)
        if node.deduplicate is None or self._once is None:
            await self._handle(visit, delivery)
            return
        taken = await self._once.handle(
            node.deduplicate,
            visit,
            delivery,
            handle=lambda: self._handle(visit, delivery),
            drop=lambda duplicate: self._finish(visit, delivery, duplicate, self._runs.arrived(visit)),
        )
        if taken is Taken.DONE:
            self.counts[node.id, "done_before"] += 1

    async def _handle(self, visit: Visit, delivery: Delivery) -> bool | None:
        """Decide and carry it out. Return whether the message has ended well; None: it is still on its way."""
        beginning = self._runs.arrived(visit)
        if delivery.deliveries >= self._max_deliveries:
            await self._gate.left(visit)
            decision: Decision = Trash(
                f"delivered {delivery.deliveries} times and never finished: does it crash the worker?"
            )
        elif visit.node.repeat_holds_line:
            visit, decision = await self._line.decide(visit, delivery.deliveries)
        else:
            decision = await self.decide(visit)
        is_success = await self._finish(visit, delivery, decision, beginning)
        has_next_page = isinstance(decision, Page) and decision.next_cursor is not None
        return None if has_next_page and is_success else is_success

    async def _finish(
        self, visit: Visit, delivery: Delivery, decision: Decision, beginning: Written | None
    ) -> bool | None:
        """Carry out the decision, after what has to be counted before it."""
        delivery.is_settling = True
        if beginning is not None:
            await beginning.written()
        return await self.carry_out(visit, decision)

    async def decide(self, visit: Visit) -> Decision:
        """Return what comes of the message."""
        if self._runs.is_cancelled(visit):
            await self._gate.left(visit)
            return Cancelled()
        state = visit.header(h.USER_TASK_STATE)
        if state == "reject":
            await self._gate.left(visit)
            return Stop("rejected by a person")
        match visit.node.role:
            case Role.PASS_ON:
                return Forward(Message(visit.headers, visit.body))
            case Role.USER_TASK:
                is_open = state != "accept" and visit.header(h.SOURCE) != "auto"
                return UserTask() if is_open else Forward(Message(visit.headers, visit.body))
        return await self._call(visit)

    async def _call(self, visit: Visit) -> Decision:
        """Call the action until it answers, or until its run is given up or cancelled; each time in its turn."""
        run = visit.header(h.CORRELATION_ID)
        target = f"{urlsplit(visit.node.url).netloc} {visit.node.id}"
        while not self._failures.has_given_up(target, run):
            admission = await self._gate.admit(visit, self._pause) if visit.node.role in LIMITED_ROLES else Go()
            if not isinstance(admission, Go):
                return admission
            if self._runs.is_cancelled(visit):
                return Cancelled()
            started = self._failures.clock()
            try:
                outcome = await self._call_once(visit, admission)
            except ActionUnreachable as error:
                reason = str(error)
                pause = self._failures.failed(target, run, started)
                if pause is None:
                    return Trash(f"given up after too many failures in a row: {reason}")
                log.warning("action_unreachable", cause=reason, retry_in_seconds=round(pause, 1))
                await self._pause(pause)
            else:
                self._failures.succeeded(target)
                return audited(visit, outcome)
        await self._gate.left(visit)
        return Trash("given up: the action of this run did not answer before")

    async def _call_once(self, visit: Visit, go: Go) -> Outcome:
        """Call the action, and tell the gate what it has to know of a limited call."""
        call = self._calls[visit.node.id]
        if not go.limits:
            return await call(visit)
        with hearing(partial(self._gate.sent, go)) as heard:
            try:
                return await call(visit)
            finally:
                await self._gate.called(visit, go, heard)

    async def carry_out(self, visit: Visit, decision: Decision) -> bool | None:
        """Publish, keep and count, in this order. Return whether the message has ended well; None: it has not ended.

        Counted last: then whatever the database knows to have been sent on is with the broker.
        """
        settlement = self._settler.settle(visit, decision)
        state = _end_state(decision, settlement)
        if state is None:
            await self._runs.set_aside(visit)
        if settlement.publications:
            await self._publisher.publish(settlement.publications)
        if settlement.next_page is not None:
            await self._publisher.publish((settlement.next_page,))
        if settlement.confirmed is not None:
            await self._confirm(settlement.confirmed)
        if settlement.keep is not None:
            await self._keep(settlement.keep)
        if settlement.report is not None:
            await self._publisher.publish((settlement.report,))
        if state is not None:
            await self._runs.ended(visit, state, settlement.sent)
        self._note(visit.node, decision, settlement)
        return None if state is None else state is MessageState.OK

    async def _confirm(self, confirmed: Callable[[], Awaitable[None]]) -> None:
        """Do what the action wants done after its items: until the storage answers, the message is not acknowledged."""
        while True:
            try:
                await confirmed()
            except StorageAway as error:
                log.error("storage_away", cause=str(error), consequence="the message waits in the broker")  # noqa: TRY400 - as below
                await self._pause(LONGEST_PAUSE_SECONDS)
            except Exception:  # it is the action's code; the items are published, so the message is done
                log.exception("confirmed_failed", consequence="what it saves is not saved")
                return
            else:
                return

    def _note(self, node: Node, decision: Decision, settlement: Settlement) -> None:
        if settlement.is_success:
            self.counts[node.id, "duplicate" if isinstance(decision, Duplicate) else "done"] += 1
            return
        event, kind = _TRASHED if settlement.is_success is False else _SET_ASIDE[type(decision)]
        self.counts[node.id, kind] += 1
        log.info(event, reason=settlement.keep.reason if settlement.keep else _reason(decision))

    async def _keep(self, keep: Keep) -> None:
        entry = await self._store_until_kept(entry_of_message(keep))
        if entry.type is EntryType.TRASH:
            event = await self._notice.publication(keep.visit, entry)
            if event is not None:
                await self._publisher.publish((event,))

    async def _keep_unreadable(self, node: Node, delivery: Delivery, reason: str) -> None:
        await self._store_until_kept(unreadable_entry(node, delivery, reason))
        self.counts[node.id, "trashed"] += 1
        log.error("message_unreadable", nodeId=node.id, nodeName=node.name, reason=reason)

    async def _store_until_kept(self, entry: Entry) -> Entry:
        """Keep the entry, and return it with the id under which it is found."""
        pause = 1
        while True:
            try:
                async with asyncio.timeout(STORE_SECONDS):
                    kept_as = await self.store.add(entry)
            except STORE_ERRORS as error:
                log.error(  # noqa: TRY400 - the place in our code explains nothing
                    "trash_away",
                    cause=str(error) or f"no answer within {STORE_SECONDS} s",
                    consequence="the message waits in the broker",
                    retry_in_seconds=pause,
                )
                await self._pause(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                if kept_as != entry.id:
                    log.warning("trash_flooded", countedOn=kept_as, consequence="counted, its body is not kept")
                return replace(entry, id=kept_as)

    async def _pause(self, seconds: float) -> None:
        """Wait. Raises `HandBack` when the worker stops meanwhile."""
        if await self._wait(self._stopping, seconds):
            raise HandBack


def _end_state(decision: Decision, settlement: Settlement) -> MessageState | None:
    """Return how the message has ended; None when it is still on its way."""
    if isinstance(decision, Cancelled):
        return MessageState.CANCELLED
    if settlement.is_success is None:
        return None
    return MessageState.OK if settlement.is_success else MessageState.FAILED


def _reason(decision: Decision) -> str:
    if isinstance(decision, Held):
        return f"limit of {decision.application}"
    return str(getattr(decision, "reason", ""))
