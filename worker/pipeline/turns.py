"""The stages of limits: a call is made in its turn, and who makes none leaves the line."""

from functools import partial

from applications.errors import TryLater
from connectors import Forward, Page, Stop, Trash
from worker.actions.errors import outcome_of
from worker.limits.call_observer import observing
from worker.limits.gate import Gate, Go, Held
from worker.limits.limit import LimitMalformed
from worker.patience import Patience
from worker.pipeline.decisions import Cancelled, Decided, Way
from worker.protocol import headers as h
from worker.protocol.message import Visit
from worker.protocol.topology import Node

_ENDS = (Forward, Page, Stop, Trash, Cancelled)
"""Decisions with which a message leaves its line; with the others it comes back."""


class Turns:
    """Asks the gate about messages of connectors and batches."""

    def __init__(self, gate: Gate, patience: Patience) -> None:
        self._gate = gate
        self._patience = patience

    def concern(self, node: Node) -> bool:
        """Whether messages of this node have to ask."""
        return self._gate.concerns(node)

    async def take(self, visit: Visit, call_next: Way) -> Decided:
        """Wait for the turn, here or in the broker, and tell the gate what it has to know of the call."""
        try:
            admission = await self._gate.admit(visit, self._patience.pause)
        except TryLater as error:
            return Decided(visit, outcome_of(error))
        except LimitMalformed as error:
            return Decided(visit, Trash(str(error)))
        if isinstance(admission, Held):
            return Decided(visit, admission)
        if admission.used:
            visit = visit.having(h.without(visit.headers, admission.used))
        return await (self._observed(visit, admission, call_next) if admission.limits else call_next(visit))

    async def leave(self, visit: Visit, call_next: Way) -> Decided:
        """Give the place in the line back when the message ends without having had its turn.

        A turn uses the place up, so what still has one has had none.
        """
        decided = await call_next(visit)
        if h.LIMIT_PLACE in decided.visit.headers and isinstance(decided.decision, _ENDS):
            await self._gate.left(decided.visit)
        return decided

    async def _observed(self, visit: Visit, go: Go, call_next: Way) -> Decided:
        with observing(partial(self._gate.sent, go)) as observed:
            try:
                return await call_next(visit)
            finally:
                await self._gate.called(visit, go, observed)
