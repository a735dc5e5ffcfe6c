"""The stage of nodes with `repeatHoldsLine`: a repeated or limited message waits in its place.

It stays unacknowledged meanwhile, so that nothing behind it is delivered or begun.
"""

import time
from dataclasses import dataclass, replace

import structlog

from worker.errors import HeldTooLong
from worker.patience import Patience
from worker.pipeline.decisions import Decided, Parked, Way
from worker.protocol import headers as h
from worker.protocol.message import Visit, current_visit, now_ms

log = structlog.get_logger()

LONGEST_HOLD_SECONDS = 20 * 60
"""RabbitMQ closes the channel of a message that is unacknowledged for 30 minutes (`consumer_timeout`). Before that it
is given back with all behind it, taken again, and waits on.
"""

FORGET_SECONDS = 60 * 60
"""After its time a wait is forgotten that another worker has taken over."""


@dataclass(frozen=True, slots=True)
class _Wait:
    visit: Visit
    """The message as it comes back."""
    until: float
    before: Decided
    """The message as it came, and what it waits for."""


class Hold:
    """Lets messages wait for their repeats in place. One for all nodes of the process."""

    def __init__(self, patience: Patience, max_deliveries: int) -> None:
        self._patience = patience
        self._max_deliveries = max_deliveries
        self._waits: dict[tuple[str, ...], _Wait] = {}

    async def stage(self, visit: Visit, call_next: Way) -> Decided:
        """Return the decision that ends the waiting, and the message as it was then.

        Raises `HeldTooLong` before the broker loses patience. The broker delivers it again, and the wait goes on where
        it was; near the end of its deliveries it is let go and parked in the broker.
        """
        if not visit.delivery.is_from_queue:
            return await call_next(visit)
        key = (visit.node.id, visit.headers.text(h.PROCESS_ID), visit.headers.text(h.CURSOR), str(visit.timestamp))
        deliveries_left = self._max_deliveries - 1 - visit.delivery.deliveries
        if deliveries_left <= 0:
            return await self._last(key, visit, call_next, is_over=deliveries_left < 0)
        give_back_at = time.monotonic() + LONGEST_HOLD_SECONDS
        while True:
            if key in self._waits:
                visit = await self._wait(key, visit, give_back_at)
                visit.delivery.began_again = now_ms()
            decided = await call_next(visit)
            if decided.settlement is None or decided.settlement.parked is None:
                return decided
            self._begin(key, decided.settlement.parked, decided)

    async def _last(self, key: tuple[str, ...], visit: Visit, call_next: Way, *, is_over: bool) -> Decided:
        """Do not wait in place once more: the next delivery would be one too many."""
        wait = self._waits.pop(key, None)
        if wait is None or is_over:
            decided = await call_next(visit)
        else:
            decided = replace(wait.before, visit=wait.before.visit.from_delivery(visit.delivery))
        if decided.settlement is not None and decided.settlement.parked is not None:
            log.warning("line_let_go", consequence="parked for its whole time: messages behind it pass")
        return decided

    def _begin(self, key: tuple[str, ...], parked: Parked, decided: Decided) -> None:
        log.info(
            "message_holds_line",
            seconds=round(parked.seconds, 1),
            reason=str(parked.headers.get(h.RESULT_MESSAGE, "")),
            consequence="messages behind it wait",
        )
        now = time.monotonic()
        self._waits = {other: wait for other, wait in self._waits.items() if wait.until > now - FORGET_SECONDS}
        returning = decided.visit.back(parked.headers, parked.body)
        self._waits[key] = _Wait(returning, now + parked.seconds, decided)

    async def _wait(self, key: tuple[str, ...], visit: Visit, give_back_at: float) -> Visit:
        wait = self._waits[key]
        left = wait.until - time.monotonic()
        room = give_back_at - time.monotonic()
        if left > room:
            await self._patience.pause(room)
            raise HeldTooLong
        await self._patience.pause(max(left, 0))
        del self._waits[key]
        returned = wait.visit.from_delivery(visit.delivery)
        current_visit.set(returned)
        return returned
