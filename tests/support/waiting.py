"""Waiting until something is so."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Value = TypeVar("Value")

POLL_SECONDS = 0.02


@overload
async def eventually(
    is_so: Callable[[], Awaitable[Value | None]], *, seconds: float = 10, what: str = "the condition"
) -> Value: ...


@overload
async def eventually(
    is_so: Callable[[], Value | None], *, seconds: float = 10, what: str = "the condition"
) -> Value: ...


async def eventually(is_so: Callable[[], Any], *, seconds: float = 10, what: str = "the condition") -> Any:
    """Return the first true value of `is_so`. Raises `AssertionError` when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = is_so()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about within {seconds} s; last seen: {value!r}")
        await asyncio.sleep(POLL_SECONDS)
