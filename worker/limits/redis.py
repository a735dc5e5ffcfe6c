"""Reservations in Redis or Valkey: one limit for all workers, kept by one atomic script and the server's clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.errors import LimitsAway
from worker.limits.clock import RemoteClock
from worker.limits.limit import Limit, parse_limits
from worker.limits.reservations import (
    AHEAD_SECONDS,
    EAGERNESS,
    PATIENCE_SECONDS,
    SLACK_SECONDS,
    LimitState,
    Request,
    Turn,
    Wait,
)

logger = structlog.get_logger()

BASE = "{orchesty-worker:limits}:"
CONNECTIONS = 4
"""At the same time; more asks wait for one, in order."""
ANSWER_SECONDS = 5.0
SEEN_SECONDS = 86_400
FOLDER = Path(__file__).parent


class RedisReservations:
    """The limits of all workers that use this server and database."""

    def __init__(self, url: str, *, guard_seconds: float, recovery_seconds: float = 600) -> None:
        self._least_guard = guard_seconds
        self._recovery_seconds = recovery_seconds or 1
        self._is_learning = recovery_seconds > 0
        self._redis = Redis.from_url(
            url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            health_check_interval=30,
            decode_responses=True,
        )
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._ask = self._redis.register_script((FOLDER / "ask.lua").read_text())
        self._learn = self._redis.register_script((FOLDER / "learn.lua").read_text())
        self._clock = RemoteClock()
        self._epoch = ""
        self._sightings: list[tuple[str, str, float]] = []
        self._noting: asyncio.Task[None] | None = None

    @property
    def _guard_seconds(self) -> float:
        """As set, and more where the way to Redis is long."""
        round_trip = self._clock.round_trip_seconds
        return max(self._least_guard, 2 * round_trip) if round_trip < ANSWER_SECONDS else self._least_guard

    async def ask(self, request: Request) -> Turn | Wait:
        """Reserve a turn, or say how long it will take. Raises `LimitsAway`."""
        arguments = [
            *(request.member, request.line, request.place, int(request.is_renewal)),
            *(self._guard_seconds, SLACK_SECONDS, AHEAD_SECONDS, EAGERNESS, PATIENCE_SECONDS, self._recovery_seconds),
            *(self._epoch, uuid4().hex),
            *(part for limit in request.limits for part in _parts(limit)),
        ]
        async with _answering(), self._free:
            sent = time.monotonic()
            is_turn, seconds, now, place, waiting, epoch = await self._ask([BASE], arguments)
            self._clock.exchanged(sent, float(now), time.monotonic())
        self._epoch = epoch
        if is_turn:
            return Turn(self._clock.ours(float(now) + float(seconds)), waiting)
        return Wait(float(seconds), place, waiting)

    async def seen(self, request: Request, at: float) -> None:
        """Take note that the service has seen the call; what has gathered meanwhile is sent together."""
        self._sightings += ((_log(limit), request.member, at) for limit in request.limits)
        if self._noting is None:
            self._noting = asyncio.create_task(self._note_sightings())

    async def _note_sightings(self) -> None:
        try:
            while self._sightings:
                sightings, self._sightings = self._sightings, []
                async with _answering(), self._redis.pipeline(transaction=False) as pipeline:
                    for log, member, at in sightings:
                        pipeline.zadd(log, {member: self._latest(at) - SLACK_SECONDS}, xx=True)
                    await pipeline.execute()
        except LimitsAway as away:
            self._sightings.clear()
            logger.debug("limit_sightings_not_noted", cause=str(away))
        finally:
            self._noting = None

    def _latest(self, at: float) -> float:
        """Return the server's time at most, as far as its clock is known."""
        return self._clock.theirs(at) + self._clock.round_trip_seconds / 2

    async def give_back(self, request: Request) -> None:
        """Free a turn that was not used. Raises `LimitsAway`."""
        async with _answering(), self._redis.pipeline() as pipeline:
            for limit in request.limits:
                pipeline.zrem(_log(limit), request.member)
            await pipeline.execute()

    async def leave(self, line: str) -> None:
        """Take a message out of its line that will not ask again. Raises `LimitsAway`."""
        async with _answering():
            await self._redis.hincrby(f"{BASE}line:{line}", "gone", 1)

    async def learn(self, limits: Sequence[Limit], *, seconds: float, slow_down: bool) -> None:
        """Let no call go for this long; with `slow_down` halve the amount, to recover slowly. Raises `LimitsAway`."""
        async with _answering():
            for key in {limit.key for limit in limits}:
                await self._learn(
                    [f"{BASE}learned:{key}"], [seconds, int(slow_down and self._is_learning), self._recovery_seconds]
                )

    async def states(self) -> Sequence[LimitState]:
        """Return the limits that were used lately. Raises `LimitsAway`."""
        async with _answering():
            seconds, microseconds = await self._redis.time()
            now = seconds + microseconds / 1e6
            await self._redis.zremrangebyscore(f"{BASE}seen", "-inf", now - SEEN_SECONDS)
            return [await self._state(limit, now) for limit in await self._seen()]

    async def reset(self, key: str) -> int:
        """Forget calls, places and what was learned of a key; return how many limits had it. Raises `LimitsAway`."""
        async with _answering():
            found = [limit for limit in await self._seen() if limit.key == key]
            if found:
                await self._redis.zrem(f"{BASE}seen", *map(str, found))
                logs = [_log(limit) for limit in found]
                own = [
                    f"{BASE}{part}:{key}" for part in ("learned", "lines", "positions", "waiting", "position", "line")
                ]
                await self._redis.delete(*logs, *own)
            return len(found)

    async def close(self) -> None:
        """Close the connections."""
        if self._noting is not None:
            await self._noting
        await self._redis.aclose()

    async def _seen(self) -> Sequence[Limit]:
        return [parse_limits(str(name))[0] for name in await self._redis.zrange(f"{BASE}seen", 0, -1)]

    async def _state(self, limit: Limit, now: float) -> LimitState:
        width = limit.seconds + self._guard_seconds + SLACK_SECONDS
        learned = await self._redis.hgetall(f"{BASE}learned:{limit.key}")
        share = 1.0
        if "share" in learned:
            share = min(1.0, float(learned["share"]) + (now - float(learned["at"])) / self._recovery_seconds)
        amount = max(1, int(limit.amount * share))
        used = await self._redis.zcount(_log(limit), now - width, "+inf")
        closed = float(learned.get("until", 0)) - now
        full = await self._redis.zrevrange(_log(limit), amount - 1, amount - 1, withscores=True)
        free = float(full[0][1]) + width - now if full else 0
        return LimitState(limit, used, await self._waiting(limit, now), max(closed, free, 0), amount)

    async def _waiting(self, limit: Limit, now: float) -> int:
        lines = [limit.key] if limit.user else await self._redis.zrangebyscore(f"{BASE}lines:{limit.key}", now, "+inf")
        waiting = 0
        for line in lines:
            last, gone = await self._redis.hmget(f"{BASE}line:{line!s}", "last", "gone")
            waiting += int(last or 0) - int(gone or 0)
        return waiting


def _parts(limit: Limit) -> tuple[str, int, int, int]:
    return limit.key, limit.seconds, limit.amount, int(not limit.user)


def _log(limit: Limit) -> str:
    return f"{BASE}log:{limit.key};{limit.seconds}"


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise LimitsAway(f"{type(error).__name__}: {error}") from error
