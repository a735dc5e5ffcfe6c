"""Repeats that hold the line: on nodes with `repeatHoldsLine` a repeated or limited message waits in its place.

It stays unacknowledged meanwhile, so that nothing behind it is delivered or begun.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from worker.errors import HeldTooLong
from worker.pipeline.decisions import Decision
from worker.pipeline.settle import Parked, Settler
from worker.protocol import headers as h
from worker.protocol.message import Envelope, Visit, current_visit, receive

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
    before: tuple[Visit, Decision]
    """The message as it came, and what it waits for."""


class Line:
    """Decides about messages, and lets them wait for their repeats in place."""

    def __init__(
        self,
        settler: Settler,
        decide: Callable[[Visit], Awaitable[Decision]],
        pause: Callable[[float], Awaitable[None]],
        max_deliveries: int,
    ) -> None:
        """`pause` raises `HandBack` when the worker stops."""
        self._settler = settler
        self._decide = decide
        self._pause = pause
        self._max_deliveries = max_deliveries
        self._waits: dict[tuple[str, ...], _Wait] = {}

    async def decide(self, visit: Visit, deliveries: int) -> tuple[Visit, Decision]:
        """Return the decision about the message that ends its waiting, and the message as it was then.

        Raises `HeldTooLong` before the broker loses patience. The broker delivers it again, and the wait goes on where
        it was; near the end of its deliveries it lets go of the line and is parked in the broker.
        """
        key = (visit.node.id, visit.header(h.PROCESS_ID), visit.header(h.CURSOR), str(visit.timestamp))
        give_back_at = time.monotonic() + LONGEST_HOLD_SECONDS
        has_deliveries_left = deliveries < self._max_deliveries - 1
        while True:
            if key in self._waits and not has_deliveries_left:
                return self._let_go(self._waits.pop(key).before)
            if key in self._waits:
                visit = await self._wait(key, give_back_at)
            decision = await self._decide(visit)
            parked = self._settler.settle(visit, decision).parked
            if parked is None:
                return visit, decision
            if not has_deliveries_left:
                return self._let_go((visit, decision))
            self._begin(key, parked, (visit, decision))

    def _let_go(self, waiting: tuple[Visit, Decision]) -> tuple[Visit, Decision]:
        log.warning("line_let_go", consequence="parked for its whole time: messages behind it pass")
        return waiting

    def _begin(self, key: tuple[str, ...], parked: Parked, before: tuple[Visit, Decision]) -> None:
        log.info(
            "message_holds_line",
            seconds=round(parked.seconds, 1),
            reason=str(parked.headers.get(h.RESULT_MESSAGE, "")),
            consequence="messages behind it wait",
        )
        now = time.monotonic()
        self._waits = {other: wait for other, wait in self._waits.items() if wait.until > now - FORGET_SECONDS}
        came = before[0]
        returning = receive(came.node, Envelope(parked.body, dict(parked.headers)), came.timestamp)
        self._waits[key] = _Wait(returning, now + parked.seconds, before)

    async def _wait(self, key: tuple[str, ...], give_back_at: float) -> Visit:
        wait = self._waits[key]
        left = wait.until - time.monotonic()
        room = give_back_at - time.monotonic()
        if left > room:
            await self._pause(room)
            raise HeldTooLong
        await self._pause(max(left, 0))
        del self._waits[key]
        current_visit.set(wait.visit)
        return wait.visit
