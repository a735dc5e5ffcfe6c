"""The life of a message on a page.

delivery ─ decode ─► visit ─ stages ─► action ─► outcome ─ settle ─► publish · keep ─ count ─► acknowledged

Between visit and action, and back, lie the stages: `stages.py` has their list. The caller acknowledges.
"""

from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping

import structlog

from connectors import Limited, Repeat
from worker.errors import UnreadableMessage
from worker.limits.gate import Held
from worker.pipeline.decisions import Cancelled, Decided, DoneBefore, Duplicate, UserTask
from worker.pipeline.net import Net
from worker.pipeline.stages import Stages
from worker.pipeline.suspects import SUSPECT_DELIVERIES, Suspects
from worker.protocol.message import Visit, current_visit, decode, receive
from worker.protocol.topology import Node
from worker.protocol.transport import Delivery
from worker.runs.run import MessageState
from worker.trash.keeping import Keeper
from worker.trash.making import unreadable_entry

log = structlog.get_logger()

OUTCOMES = ("done", "duplicate", "done_before", "repeated", "limited", "kept", "trashed", "cancelled")
"""What can become of a message at a node."""

_TRASHED = ("message_trashed", "trashed")
_SET_ASIDE: Mapping[type, tuple[str, str]] = {
    Repeat: ("message_repeated", "repeated"),
    Limited: ("message_limited", "limited"),
    Held: ("message_limited", "limited"),
    UserTask: ("user_task_kept", "kept"),
    Cancelled: ("message_cancelled", "cancelled"),
}
"""Log event and count of what waits, or ends without its work done."""


class Handler:
    """Takes each message through one node's work. One handler serves all nodes of the process."""

    def __init__(
        self,
        nodes: Iterable[Node],
        stages: Stages,
        trash: Keeper,
        max_message_bytes: int,
        suspects: Suspects | None = None,
    ) -> None:
        """Without `suspects` no message is one: nothing that it does can end the process."""
        self._ways = {node.id: stages.way(node) for node in nodes}
        self._net = Net(trash, stages.carrier.count_failed)
        self.trash = trash
        self._max_message_bytes = max_message_bytes
        self._suspects = suspects
        self.counts: Counter[tuple[str, str]] = Counter()
        """By node id and what happened: arrived, or one of `OUTCOMES`."""

    def deliver(self, node: Node, delivery: Delivery) -> Awaitable[None]:
        """Handle a delivery, a suspect when its turn has come; when it is done, the delivery may be acknowledged.

        Raises nothing but `HandBack` and what cancels it.
        """
        if self._suspects is not None and (delivery.deliveries >= SUSPECT_DELIVERIES or delivery.is_uncounted):
            return self._deliver_suspect(node, delivery, self._suspects)
        return self._deliver(node, delivery)

    async def _deliver_suspect(self, node: Node, delivery: Delivery, suspects: Suspects) -> None:
        async with suspects.turn(delivery):
            await self._deliver(node, delivery)

    async def _deliver(self, node: Node, delivery: Delivery) -> None:
        self.counts[node.id, "arrived"] += 1
        try:
            visit = receive(node, decode(delivery.raw, self._max_message_bytes), delivery)
        except UnreadableMessage as error:
            delivery.is_settling = True
            await self._keep_unreadable(node, delivery, str(error))
        except BaseException as error:
            await self._catch(error, node, delivery, None)
        else:
            await self.handle(visit)

    async def handle(self, visit: Visit) -> None:
        """Take the message its way, to its end or to where it waits."""
        current_visit.set(visit)
        try:
            self._note(await self._ways[visit.node.id](visit))
        except BaseException as error:
            await self._catch(error, visit.node, visit.delivery, visit)

    async def _catch(self, error: BaseException, node: Node, delivery: Delivery, visit: Visit | None) -> None:
        if not await self._net.catch(error, node, delivery, visit):
            raise error
        self.counts[node.id, "trashed"] += 1

    async def _keep_unreadable(self, node: Node, delivery: Delivery, reason: str) -> None:
        await self.trash.keep(unreadable_entry(node, delivery, reason))
        self.counts[node.id, "trashed"] += 1
        log.error("message_unreadable", nodeId=node.id, nodeName=node.name, reason=reason)

    def _note(self, decided: Decided) -> None:
        node, decision = decided.visit.node, decided.decision
        if decided.state is MessageState.OK:
            self.counts[node.id, "duplicate" if isinstance(decision, Duplicate) else "done"] += 1
        elif isinstance(decision, DoneBefore):
            self.counts[node.id, "done_before"] += 1
        else:
            is_trashed = decided.state is MessageState.FAILED
            event, kind = _TRASHED if is_trashed else _SET_ASIDE[type(decision)]
            self.counts[node.id, kind] += 1
            if isinstance(decision, Held):  # a backlog would fill the log with its wait
                log.debug(event, reason=_reason(decided))
            else:
                log.info(event, reason=_reason(decided))


def _reason(decided: Decided) -> str:
    if decided.settlement is not None and decided.settlement.keep is not None:
        return decided.settlement.keep.reason or ""
    if isinstance(decided.decision, Held):
        return f"limit of {decided.decision.application}"
    return str(getattr(decided.decision, "reason", ""))
