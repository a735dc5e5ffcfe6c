"""Reservations in Redis: one limit for all workers, kept by one atomic script and the server's clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import structlog

from worker.database.redis import open_redis, redis_errors
from worker.errors import LimitsAway
from worker.limits import fairness, reservations, windows
from worker.limits.limit import KeyedLimit
from worker.limits.reservations import SLACK_SECONDS, LimitState, Turn, TurnRequest, Wait

FOLDER = Path(__file__).parent

LISTED_SECONDS = 86_400
"""Limits that nobody has used for this time are not listed any more."""

CONSTANTS = {
    "AHEAD": reservations.AHEAD_SECONDS,
    "SLACK": reservations.SLACK_SECONDS,
    "EAGERNESS": reservations.EAGERNESS,
    "PATIENCE": reservations.PATIENCE_SECONDS,
    "IDLE": reservations.IDLE_SECONDS,
    "HALVING": reservations.HALVING_SECONDS,
    "SLOWEST": reservations.SLOWEST,
    "ROUNDING": windows.ROUNDING_SECONDS,
    "SPACINGS": windows.SPACINGS,
    "LAG": fairness.LAG,
    "SAMPLE": fairness.SAMPLE,
    "PASSES": fairness.PASSES,
    "FEW": fairness.FEW,
    "LISTED": LISTED_SECONDS,
}


def script(name: str) -> str:
    """Return the whole text of a script, such as `ask`."""
    constants = [f"local {constant} = {_lua(value)}\n" for constant, value in CONSTANTS.items()]
    return "".join([*constants, *((FOLDER / f"{part}.lua").read_text() for part in ("limit", name))])


def _lua(value: object) -> str:
    return "{" + ", ".join(map(_lua, value)) + "}" if isinstance(value, tuple) else repr(value)


DRIFT = 0.0005
"""Seconds by which two clocks drift apart in a second at most: what NTP corrects a clock by."""

KEPT_SECONDS = 60.0
"""After this time without an exchange the clock is asked before anything depends on it."""


class RemoteClock:
    """Translates the server's time to our monotonic clock; our wall clock plays no part."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._taken_at = float("-inf")
        self._took = float("inf")

    def exchanged(self, sent: float, theirs: float, received: float) -> None:
        """Take note that the server answered `theirs` between `sent` and `received`."""
        took, offset, known = received - sent, (sent + received) / 2 - theirs, self.uncertain_seconds(received)
        has_moved = abs(offset - self._offset) > (took + known) / 2 + 0.001
        if took <= known or has_moved:
            self._offset, self._taken_at, self._took = offset, received, took

    def exchanges_needed(self, now: float) -> int:
        """Return how many exchanges to make first: one connects, which takes long, and one after that is good."""
        if self._took == float("inf"):
            return 2
        return int(now - self._taken_at > KEPT_SECONDS)

    def uncertain_seconds(self, now: float) -> float:
        """Return the width of what is not known of the translation: half of it to either side."""
        return self._took if self._took == float("inf") else self._took + DRIFT * (now - self._taken_at)

    def ours(self, theirs: float, now: float) -> float:
        """Return when the server's time has come for certain, by our monotonic clock."""
        return theirs + self._offset + self.uncertain_seconds(now) / 2

    def theirs(self, ours: float, now: float) -> float:
        """Return the server's time at most, at our monotonic time."""
        return ours - self._offset + self.uncertain_seconds(now) / 2


logger = structlog.get_logger()

BASE = "{orchesty-worker:limits}:"
CONNECTIONS = 4
"""At the same time; more asks wait for one, in order."""
ANSWER_SECONDS = 5.0


class RedisReservations:
    """The limits of all workers that use this server and database."""

    def __init__(
        self, url: str, *, guard_seconds: float, recovery_seconds: float = 600, clock: RemoteClock | None = None
    ) -> None:
        self._least_guard = guard_seconds
        self._recovery_seconds = recovery_seconds or 1
        self._is_learning = recovery_seconds > 0
        self._redis = open_redis(url, answer_seconds=ANSWER_SECONDS)
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._ask, self._leave, self._learn, self._listed, self._state, self._reset = (
            self._redis.register_script(script(name)) for name in ("ask", "leave", "learn", "listed", "state", "reset")
        )
        self._clock = clock or RemoteClock()
        self._epoch, self._turns = "", 0
        """What is known of the server's data, so that a loss is noticed."""
        self._sightings: list[tuple[str, str, float]] = []
        self._noting: asyncio.Task[None] | None = None

    def _guard_seconds(self, now: float) -> float:
        """As set, and more where the way to Redis is long."""
        uncertain = self._clock.uncertain_seconds(now)
        return max(self._least_guard, 2 * uncertain) if uncertain < ANSWER_SECONDS else self._least_guard

    async def ask(self, request: TurnRequest) -> Turn | Wait:
        """Reserve a turn, or say how long it will take. Raises `LimitsAway`."""
        limits = [part for limit in request.limits for part in _parts(limit)]
        async with _answering(), self._free:
            await self._set_clock()
            sent = time.monotonic()
            known = (self._guard_seconds(sent), self._epoch, self._turns, uuid4().hex)
            arguments = [request.member, request.line, request.place, int(request.is_renewal), *known, *limits]
            is_turn, seconds, now, place, waiting, epoch, turns = await self._ask([BASE], arguments)
            received = time.monotonic()
            self._clock.exchanged(sent, float(now), received)
        self._turns = max(turns, self._turns) if epoch == self._epoch else turns
        self._epoch = epoch
        if is_turn:
            return Turn(self._clock.ours(float(now) + float(seconds), received), waiting)
        return Wait(float(seconds), place, waiting)

    async def _set_clock(self) -> None:
        """Know the server's time before a turn depends on it."""
        for _ in range(self._clock.exchanges_needed(time.monotonic())):
            sent = time.monotonic()
            seconds, microseconds = await self._redis.time()
            self._clock.exchanged(sent, seconds + microseconds / 1e6, time.monotonic())

    async def seen(self, request: TurnRequest, at: float) -> None:
        """Take note that the service has seen the call; what has gathered meanwhile is sent together."""
        self._sightings += ((_log(limit), request.member, at) for limit in request.limits)
        if self._noting is None:
            self._noting = asyncio.create_task(self._note_sightings())

    async def _note_sightings(self) -> None:
        try:
            while self._sightings:
                sightings, self._sightings = self._sightings, []
                async with _answering(), self._redis.pipeline(transaction=False) as pipeline:
                    now = time.monotonic()
                    for log, member, at in sightings:
                        pipeline.zadd(log, {member: self._clock.theirs(at, now) - SLACK_SECONDS}, xx=True)
                    await pipeline.execute()
        except LimitsAway as away:
            self._sightings.clear()
            logger.debug("limit_sightings_not_noted", cause=str(away))
        finally:
            self._noting = None

    async def give_back(self, request: TurnRequest) -> None:
        """Free a turn that was not used. Raises `LimitsAway`."""
        async with _answering(), self._redis.pipeline() as pipeline:
            for limit in request.limits:
                pipeline.zrem(_log(limit), request.member)
            await pipeline.execute()

    async def leave(self, line: str) -> None:
        """Take a message out of its line that will not ask again. Raises `LimitsAway`."""
        async with _answering():
            await self._leave([BASE], [line])

    async def learn(self, limits: Sequence[KeyedLimit], *, seconds: float, slow_down: bool) -> None:
        """Let no call go for this long; with `slow_down` halve the amount, to recover slowly. Raises `LimitsAway`."""
        async with _answering():
            for key in {limit.key for limit in limits}:
                halves = int(slow_down and self._is_learning)
                await self._learn([BASE], [key, seconds, halves, self._recovery_seconds])

    async def states(self, key: str | None = None) -> Sequence[LimitState]:
        """Return the limits that were used lately, all or those of a key. Raises `LimitsAway`."""
        async with _answering():
            limits = [limit for limit in await self._used() if key in (None, limit.key)]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for limit in limits:
                    await self._state([BASE], [self._least_guard, *_parts(limit)], client=pipeline)
                answers = await pipeline.execute()
        return [
            LimitState(limit, used, waiting, float(seconds), amount)
            for limit, (used, waiting, seconds, amount) in zip(limits, answers, strict=True)
        ]

    async def reset(self, key: str) -> int:
        """Forget calls, places and what was learned of a key; return how many limits had it. Raises `LimitsAway`."""
        async with _answering():
            found = [limit.seconds for limit in await self._used() if limit.key == key]
            await self._reset([BASE], [key, *found])
            return len(found)

    async def _used(self) -> Sequence[KeyedLimit]:
        listed = await self._listed([BASE])
        names = [name.rpartition(";") for name in listed[::2]]
        return [
            KeyedLimit(key, int(seconds), int(amount))
            for (key, _, seconds), amount in zip(names, listed[1::2], strict=True)
        ]

    async def close(self) -> None:
        """Close the connections."""
        if self._noting is not None:
            await self._noting
        await self._redis.aclose()


def _parts(limit: KeyedLimit) -> tuple[str, int, int, int]:
    return limit.key, limit.seconds, limit.amount, int(not limit.user)


def _log(limit: KeyedLimit) -> str:
    return f"{BASE}log:{limit.key};{limit.seconds}"


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    with redis_errors(LimitsAway):
        yield
