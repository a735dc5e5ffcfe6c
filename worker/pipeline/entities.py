"""The stage that keeps the entities that a message is about."""

from dataclasses import dataclass, replace

from connectors import Forward, Message, Page, Stop, Trash
from worker.modes.services import Entities
from worker.pipeline.decisions import Decided, Way
from worker.protocol import headers as h
from worker.protocol.message import Visit

ENDING = (Forward, Page, Stop, Trash)
"""What is decided of messages that do not come back to the node. The others name their entities again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Keeps the entities of a message when it is decided what becomes of it, well or not."""

    entities: Entities

    async def stage(self, visit: Visit, call_next: Way) -> Decided:
        """Put the ids of entities in place of them."""
        decided = await call_next(visit)
        decision, visit = decided.decision, decided.visit
        if not isinstance(decision, ENDING):
            return decided
        message = decision.message
        headers = visit.headers if message is None else message.headers
        if h.AUDIT_ENTITY not in headers:
            return decided
        is_last = isinstance(decision, Stop) or not (visit.node.followers or isinstance(decision, Trash))
        noted = await self.entities.noted(headers, is_last=is_last)
        if message is None:
            return replace(decided, visit=visit.having(noted))
        return replace(decided, decision=replace(decision, message=Message(noted, message.body)))
