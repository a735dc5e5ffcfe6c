"""Limits without Redis although several processes consume: each would count for itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from worker.errors import LimitRefused, LimitsAway
from worker.limits.limit import KeyedLimit
from worker.limits.reservations import LimitState, Reservations, Turn, TurnRequest, Wait


class UnsharedReservations:
    """A process's own reservations. `processes` tells how many there are; None: it is not known yet.

    Each takes its part of the limits where they `are_divided`; else several keep none, and limited messages wait.
    """

    def __init__(self, own: Reservations, processes: Callable[[], int | None], *, are_divided: bool) -> None:
        self._own = own
        self._processes = processes
        self._are_divided = are_divided

    async def ask(self, request: TurnRequest) -> Turn | Wait:
        """Reserve a turn. Raises `LimitsAway` when there are, or may be, more processes than can keep the limits."""
        count = self._processes()
        if count is None:
            raise LimitsAway("it is not known yet whether other processes consume these queues")
        if count > 1 and not self._are_divided:
            raise LimitsAway(
                f"{count} processes consume these queues and share no Redis, so limits would be exceeded. Set "
                "WORKER_REDIS_URL, or WORKER_LIMITS_WITHOUT_REDIS=divide, or run a single process"
            )
        return await self._own.ask(replace(request, limits=[divided(limit, count) for limit in request.limits]))

    async def seen(self, request: TurnRequest, at: float) -> None:
        """Take note that the service has seen the call."""
        await self._own.seen(request, at)

    async def give_back(self, request: TurnRequest) -> None:
        """Free a turn that was not used."""
        await self._own.give_back(request)

    async def leave(self, line: str) -> None:
        """Take a message out of its line."""
        await self._own.leave(line)

    async def learn(self, limits: Sequence[KeyedLimit], *, seconds: float, slow_down: bool) -> None:
        """Let no call go for this long."""
        await self._own.learn(limits, seconds=seconds, slow_down=slow_down)

    async def states(self, key: str | None = None) -> Sequence[LimitState]:
        """Return this process's view."""
        return await self._own.states(key)

    async def reset(self, key: str) -> int:
        """Forget a key in this process."""
        return await self._own.reset(key)

    async def close(self) -> None:
        """Close the process's own."""
        await self._own.close()


def divided(limit: KeyedLimit, count: int) -> KeyedLimit:
    """Return one of this many parts of a limit; together they allow no more calls in any window than the whole.

    Raises `LimitRefused` for a limit that has less than a call for each: fewer calls in longer windows would not do,
    as the first ones of all processes may meet in one window.
    """
    if limit.amount < count:
        raise LimitRefused(
            f"{limit.amount} calls per {limit.seconds} s cannot be divided among {count} processes. "
            f"Set WORKER_REDIS_URL, or run at most {limit.amount} of them"
        )
    return replace(limit, amount=limit.amount // count)
