"""The limit gate: may this call be made now?

A message of a connector or batch whose application appears in its `limiter-key` must not reach the service before
its turn. A turn is given out shortly before it comes and is waited for here; a message that has longer to wait goes
back to the broker with its place in the line, and asks again when it returns.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol
from uuid import uuid4

import structlog

from applications import Application
from applications.errors import NotReady, SecretsError, TryLater
from applications.pauses import back_off
from connectors.http import FindAccess, of_class
from connectors.rate import RateNotice
from worker.errors import HandBack, LimitRefused, LimitsAway
from worker.limits.call_observer import Observed
from worker.limits.limit import KeyedLimit, LimitMalformed, limits_of, line_of
from worker.limits.metrics import LimitMetrics
from worker.limits.reservations import LATEST_SECONDS, Reservations, Turn, TurnRequest, Wait
from worker.prometheus import Family
from worker.protocol import headers as h
from worker.protocol.message import Visit
from worker.protocol.topology import Node
from worker.protocol.transport import STEP_SECONDS

log = structlog.get_logger()

Pause = Callable[[float], Awaitable[None]]
"""Waits this long; raises `HandBack` when the worker stops meanwhile."""

EARLY_SECONDS = 0.5
"""A parked message comes back so long before its turn."""

WAY_SECONDS = 0.15
"""Longer than the way of a request to a service that it reaches at all, on machines that are busy."""

FIRST_RETRY_SECONDS = 0.03
LONGEST_RETRY_SECONDS = 5.0

TOLD_SECONDS = 1.0
"""An outage is told of when a message has waited so long."""

HELD_SECONDS = 60.0
"""While the store is away, a message is held so long, which keeps the others in their queue and in order."""

AWAY_SECONDS = 30.0
"""Then it is parked for so long: what stays unacknowledged the broker takes back after 30 minutes, as a delivery."""

LONGEST_PARKED_SECONDS = 86_400
PARKED_DIGITS = 4
"""The binary digits of the time that a message is parked: each 1 is a tier, and what is far away changes anyhow."""

PLACE_DIGITS = 15

USED = frozenset({h.LIMIT_PLACE, h.APPLICATION, h.LIMIT_PASSED})
"""Headers that a message has had its turn with."""


@dataclass(frozen=True, slots=True)
class Go:
    """The call may be made now."""

    limits: Sequence[KeyedLimit] = ()
    """What it counts for."""
    request: TurnRequest | None = None
    """Names its turn, where the store can be told when the service has seen the call."""
    at: float = 0
    """Its turn, by our monotonic clock."""
    used: frozenset[str] = frozenset()
    """The headers that said how the message waited; the call goes without them."""


@dataclass(frozen=True, slots=True)
class Held:
    """The message waits outside the worker until its turn."""

    application: str
    after_seconds: float = 0
    """When to come back; the platform's limiter decides that itself."""
    place: int = 0
    """Its place in the line; 0: the platform's limiter knows it."""
    limits: Sequence[KeyedLimit] = ()
    """For which it waits, where whoever lets it wait has to be told."""


class Gate(Protocol):
    """Decides about the call of one message."""

    @property
    def reservations(self) -> Reservations | None:
        """Where turns are reserved; None where somebody else knows them."""

    def concerns(self, node: Node) -> bool:
        """Whether messages of this node have to ask."""

    async def admit(self, visit: Visit, pause: Pause) -> Go | Held:
        """Return when the call may be made, or how long the message waits elsewhere.

        Raises `LimitMalformed`, `TryLater` while the installs are away, and `HandBack` when the worker stops.
        """

    async def sent(self, go: Go, at: float) -> None:
        """Take note that a request of the limited call leaves, at once and without waiting for anybody."""

    async def called(self, visit: Visit, go: Go, observed: Observed) -> None:
        """Take note of the limited call that has been made, and of what the service has said of its limits."""

    async def left(self, visit: Visit) -> None:
        """Take note that the message will ask no more."""

    def families(self) -> Iterable[Family]:
        """Return the gate's metrics."""

    async def close(self) -> None:
        """Close the store."""


class ReservingGate:
    """Standalone: each call reserves its turn."""

    def __init__(
        self,
        reservations: Reservations,
        clock: Callable[[], float] = time.monotonic,
        applications: Mapping[str, type[Application]] = MappingProxyType({}),
        access: FindAccess = of_class,
    ) -> None:
        """`applications` are those of nodes that may have limits, by node id; `access` knows the users' own."""
        self.reservations = reservations
        self._applications = applications
        self._access = access
        self._senders: set[str] = set()
        """Whose actions call by way of ours, so that their calls can be seen."""
        self._metrics = LimitMetrics()
        self._outages = Outages()
        self._clock = clock

    def concerns(self, node: Node) -> bool:
        """Whether limits can hold for the node."""
        return node.is_limitable

    async def admit(self, visit: Visit, pause: Pause) -> Go | Held:
        """Return when the turn has come. A distant one is waited for in the broker."""
        limits = await self._limits(visit)
        return await self._admitted(visit, limits, pause) if limits else Go()

    async def sent(self, go: Go, at: float) -> None:
        """Tell the store of a request that leaves late, as one that had to connect first, so that others make way."""
        if go.request is not None and at > go.at + LATEST_SECONDS:
            await self.reservations.seen(go.request, at + WAY_SECONDS)

    async def called(self, visit: Visit, go: Go, observed: Observed) -> None:
        """Tell the store when the service has seen the call at the latest, and what it has said.

        An action that was seen sending before and has sent nothing has made no call: its turn is given back.
        """
        if observed.sent:
            self._senders.add(self._sender(visit.node))
        if go.request is not None and not observed.sent and self._sender(visit.node) in self._senders:
            await self._give_back(go.request)
        elif go.request is not None:
            ended = self._clock()
            await self.reservations.seen(go.request, min(ended, max(observed.sent, default=ended) + WAY_SECONDS))
        if observed.notices:
            await self._learn(go.limits, observed.notices)

    async def left(self, visit: Visit) -> None:
        """Give back the place in the line, so that nobody is told to wait for it."""
        try:
            if _place(visit) and (limits := await self._limits(visit)):
                await self.reservations.leave(line_of(visit, limits))
        except (LimitsAway, LimitMalformed, TryLater) as error:
            log.warning("limit_place_not_given_back", cause=str(error), consequence="others are told to wait longer")

    def families(self) -> Iterable[Family]:
        """Return the metrics of limits."""
        return self._metrics.families(self._clock())

    async def close(self) -> None:
        """Close the store."""
        await self.reservations.close()

    async def _admitted(self, visit: Visit, limits: Sequence[KeyedLimit], pause: Pause) -> Go | Held:
        asked = self._clock()
        request = TurnRequest(limits, line_of(visit, limits), uuid4().hex, _place(visit))
        turn = await self._pass(visit.node, request, pause)
        if isinstance(turn, Held):
            return turn
        self._metrics.granted(visit.node.application, self._clock() - asked)
        return Go(limits, request, turn.at, USED)

    def _sender(self, node: Node) -> str:
        return node.id

    def _application(self, node: Node) -> type[Application] | None:
        return self._applications.get(node.id)

    async def _limits(self, visit: Visit) -> Sequence[KeyedLimit]:
        """Return the limits of the call. Raises `LimitMalformed`, `TryLater` without the installs."""
        application = self._application(visit.node)
        if application is None:
            return limits_of(visit)
        try:
            of_user = (await self._access(application, visit.headers.text(h.USER), visit.sdk)).limit
        except (NotReady, SecretsError):  # no call will be made: the action meets the same error
            of_user = application.limit
        return limits_of(visit, of_user, application.group_limit)

    async def _learn(self, limits: Sequence[KeyedLimit], notices: Sequence[RateNotice]) -> None:
        """Take what the service has said to all workers. While Redis is away it is lost.

        It is said to the user whose call it was: others learn it from their own calls, if it holds for them too.
        """
        own = [limit for limit in limits if limit.user] or limits
        seconds = max(notice.resume_after_seconds or 0 for notice in notices)
        slow_down = any(notice.is_refusal for notice in notices)
        try:
            await self.reservations.learn(own, seconds=seconds, slow_down=slow_down)
        except LimitsAway as away:
            log.warning("limit_not_learned", cause=str(away))
            return
        log.info("limit_learned", keys=[limit.key for limit in own], pause_seconds=seconds, refused=slow_down)

    async def _pass(self, node: Node, request: TurnRequest, pause: Pause) -> Turn | Held:
        """Return when the turn has come; or how to wait for it."""
        while True:
            answer = await self._ask(request, pause)
            if answer is None:
                return Held(node.application, AWAY_SECONDS, request.place)
            self._metrics.waiting(node.application, request.line, answer.waiting, self._clock())
            if isinstance(answer, Wait):
                return Held(node.application, parked_seconds(answer.seconds), answer.place)
            if await self._is_met(request, answer, pause):
                return answer
            request = replace(request, is_renewal=True)

    async def _is_met(self, request: TurnRequest, turn: Turn, pause: Pause) -> bool:
        """Wait for the turn; False when it has been missed, so that the call would be too close to later ones."""
        try:
            while (remaining := turn.at - self._clock()) > 0:
                await pause(remaining)
        except (HandBack, asyncio.CancelledError):
            await self._give_back(request)
            raise
        return -remaining <= LATEST_SECONDS

    async def _ask(self, request: TurnRequest, pause: Pause) -> Turn | Wait | None:
        """Ask until the store answers; None when it has been away for long."""
        began, failures = self._clock(), 0
        while True:
            try:
                answer = await self.reservations.ask(request)
            except LimitsAway as away:
                waited = self._clock() - began
                if waited >= TOLD_SECONDS:
                    self._outages.noticed(away)
                if waited >= HELD_SECONDS:
                    return None
            else:
                self._outages.answered()
                return answer
            await pause(back_off(failures, first=FIRST_RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS))
            failures += 1

    async def _give_back(self, request: TurnRequest) -> None:
        try:
            await self.reservations.give_back(request)
        except LimitsAway as away:
            log.warning("limit_turn_not_given_back", cause=str(away), consequence="it counts as a call")


def parked_seconds(foreseen: float) -> float:
    """Return how long a message is parked: a little less than foreseen, and as a sum of a few tiers."""
    seconds = max(min(foreseen, LONGEST_PARKED_SECONDS) - EARLY_SECONDS, STEP_SECONDS)
    steps = int(seconds / STEP_SECONDS)
    unused = max(steps.bit_length() - PARKED_DIGITS, 0)
    return (steps >> unused << unused) * STEP_SECONDS


def _place(visit: Visit) -> int:
    place = visit.headers.text(h.LIMIT_PLACE)
    return int(place) if place.isascii() and place.isdecimal() and len(place) <= PLACE_DIGITS else 0


class Outages:
    """Remembers what has been told, over all messages of the process."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._refused: set[str] = set()
        """Of limits that cannot be kept while others can: the store's answers do not end these."""

    def noticed(self, away: LimitsAway) -> None:
        """Tell of it, unless it has been told."""
        told, cause = self._refused if isinstance(away, LimitRefused) else self._told, str(away)
        if cause not in told:
            told.add(cause)
            log.warning("limits_away", cause=cause, consequence="limited messages wait in the broker")

    def answered(self) -> None:
        """Tell that the store is back."""
        if self._told:
            self._told.clear()
            log.info("limits_back")
