"""Limits without Redis although several processes consume: each would count for itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum

from worker.errors import LimitsAway
from worker.limits.limit import Limit
from worker.limits.reservations import LimitState, Request, Reservations, Turn, Wait


class WithoutRedis(StrEnum):
    """What several processes do with limited messages when they share no Redis."""

    REFUSE = "refuse"
    """The messages wait in the broker."""
    DIVIDE = "divide"
    """Each process takes its part of the limit."""


class UnsharedReservations:
    """A process's own reservations, as long as it is alone; `processes` tells how many there are."""

    def __init__(self, own: Reservations, processes: Callable[[], int], policy: WithoutRedis) -> None:
        self._own = own
        self._processes = processes
        self._policy = policy

    async def ask(self, request: Request) -> Turn | Wait:
        """Reserve a turn. Raises `LimitsAway` when there are more processes and nothing is to be divided."""
        count = self._processes()
        if count > 1 and self._policy is WithoutRedis.REFUSE:
            raise LimitsAway(
                f"{count} processes consume these queues and share no Redis, so limits would be exceeded. Set "
                "WORKER_REDIS_URL, or WORKER_LIMITS_WITHOUT_REDIS=divide, or run a single process"
            )
        return await self._own.ask(self._divided(request))

    async def seen(self, request: Request, at: float) -> None:
        """Take note that the service has seen the call."""
        await self._own.seen(self._divided(request), at)

    async def give_back(self, request: Request) -> None:
        """Free a turn that was not used."""
        await self._own.give_back(self._divided(request))

    async def leave(self, line: str) -> None:
        """Take a message out of its line."""
        await self._own.leave(line)

    async def learn(self, limits: Sequence[Limit], *, seconds: float, slow_down: bool) -> None:
        """Let no call go for this long."""
        count = self._processes()
        await self._own.learn([divided(limit, count) for limit in limits], seconds=seconds, slow_down=slow_down)

    async def states(self, key: str | None = None) -> Sequence[LimitState]:
        """Return this process's view."""
        return await self._own.states(key)

    async def reset(self, key: str) -> int:
        """Forget a key in this process."""
        return await self._own.reset(key)

    async def close(self) -> None:
        """Close the process's own."""
        await self._own.close()

    def _divided(self, request: Request) -> Request:
        count = self._processes()
        return replace(request, limits=[divided(limit, count) for limit in request.limits])


def divided(limit: Limit, count: int) -> Limit:
    """Return one of this many parts of a limit; together they never exceed it."""
    if count <= 1:
        return limit
    if limit.amount >= count:
        return replace(limit, amount=limit.amount // count)
    return replace(limit, seconds=-(-limit.seconds * count // limit.amount), amount=1)
