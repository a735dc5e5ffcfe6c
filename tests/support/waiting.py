"""Waiting until something is so: by the machine's own pace, and as long as there is progress.

Bounds of time are written for a machine that is quick and idle. Where it is slower, or busy with others, they grow as
much as a fixed piece of work does that is timed at that moment.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Value = TypeVar("Value")

POLL_SECONDS = 0.02
STALL_SECONDS = 60
WORK_ROUNDS = 500_000
WORK_SECONDS = 0.06
"""What the work takes on the machine for which the bounds were written."""


def slowness() -> float:
    """Return how many times longer than on an idle machine work takes now; at least 1."""
    started = time.perf_counter()
    value = 0
    for step in range(WORK_ROUNDS):
        value = (value * 31 + step) % 1_000_003
    return max(1.0, (time.perf_counter() - started) / WORK_SECONDS)


def timely(seconds: float) -> float:
    """Return a bound of time, by the pace of the machine at this moment."""
    return seconds * slowness()


@overload
async def eventually(
    is_so: Callable[[], Awaitable[Value | None]], *, seconds: float = 10, what: str = "the condition"
) -> Value: ...


@overload
async def eventually(
    is_so: Callable[[], Value | None], *, seconds: float = 10, what: str = "the condition"
) -> Value: ...


async def eventually(is_so: Callable[[], Any], *, seconds: float = 10, what: str = "the condition") -> Any:
    """Return the first true value of `is_so`. Raises `AssertionError` when there is none in time, by `timely`."""
    started = time.monotonic()
    allowed = seconds
    while True:
        value = await _value(is_so)
        if value:
            return value
        passed = time.monotonic() - started
        if passed > allowed and passed > (allowed := timely(seconds)):
            raise AssertionError(f"{what} did not come about within {allowed:.1f} s; last seen: {value!r}")
        await asyncio.sleep(POLL_SECONDS)


async def in_time(waiting: Awaitable[Value], *, seconds: float) -> Value:
    """Await it. Raises `TimeoutError` when it takes longer, by `timely`."""
    task = asyncio.ensure_future(waiting)
    try:
        if (await asyncio.wait({task}, timeout=seconds))[1]:
            await asyncio.wait({task}, timeout=timely(seconds) - seconds)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()


async def progress(
    until: Callable[[], Any], measure: Callable[[], Any], *, stall_seconds: float = STALL_SECONDS, what: str
) -> None:
    """Return when `until` is true, however long it takes, as long as `measure` returns something else now and then.

    Raises `AssertionError` when it has stayed the same for too long.
    """
    seen, moved, allowed = await _value(measure), time.monotonic(), stall_seconds
    while not await _value(until):
        now = await _value(measure)
        if now != seen:
            seen, moved, allowed = now, time.monotonic(), stall_seconds
        passed = time.monotonic() - moved
        if passed > allowed and passed > (allowed := timely(stall_seconds)):
            raise AssertionError(f"{what}: nothing has moved for {passed:.0f} s; last seen: {now!r}")
        await asyncio.sleep(POLL_SECONDS)


async def _value(ask: Callable[[], Any]) -> Any:
    value = ask()
    return await value if inspect.isawaitable(value) else value
