"""Limits of calls that come over HTTP: those that the caller does not keep already.

Before the platform's worker calls, the platform's limiter has let the message go, for the limits in its `limiter-key`.
To count these again would make it wait twice. What an application or its user has set beyond them is kept here, and
counts together with the messages of this worker's queues.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from applications import Application
from worker.limits.gate import Go, Held, Pause, ReservingGate
from worker.limits.limit import KeyedLimit, LimitMalformed, parse_limits
from worker.protocol import headers as h
from worker.protocol.message import Visit
from worker.protocol.topology import Node

WAIT_SECONDS: Final = 2.0
"""A call waits here for its turn no longer; then the caller is told, and lets the message wait."""


class CallGate(ReservingGate):
    """Reserves a turn for each call; its applications are given by key, as callers bring nodes of their own."""

    async def _admitted(self, visit: Visit, limits: Sequence[KeyedLimit], pause: Pause) -> Go | Held:
        """Return when the call may be made, or soon that it may not be made yet, with the limits that say so."""
        asked = visit.having(h.without(visit.headers, frozenset({h.LIMIT_PLACE})))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                admission = await super()._admitted(asked, limits, pause)
        except TimeoutError:
            admission = Held(visit.node.application)
        if isinstance(admission, Go):
            return replace(admission, used=frozenset())
        if admission.place:  # who is told to come back may never come
            await self.left(asked.having({**asked.headers, h.LIMIT_PLACE: str(admission.place)}))
        return replace(admission, limits=limits)

    def _sender(self, node: Node) -> str:
        return node.action_path

    def _application(self, node: Node) -> type[Application] | None:
        return self._applications.get(node.application)

    async def _limits(self, visit: Visit) -> Sequence[KeyedLimit]:
        """Return what the caller has not kept; a `limiter-key` that means nothing is the caller's matter."""
        try:
            kept = parse_limits(visit.headers.text(h.LIMITER_KEY))
        except LimitMalformed:
            visit, kept = visit.having(h.without(visit.headers, frozenset({h.LIMITER_KEY}))), ()
        return [limit for limit in await super()._limits(visit) if limit not in kept]
