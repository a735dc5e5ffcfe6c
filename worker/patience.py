"""Patience with what does not answer: how long to wait, one way to wait, and asking until there is an answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from applications.pauses import FIRST_SECONDS, LONGEST_SECONDS, back_off
from worker.errors import HandBack

Wait = Callable[[asyncio.Event, float], Awaitable[bool]]
"""Waits for an event, at most this many seconds; says whether it came. `worker.testing` has a clock of its own."""

Value = TypeVar("Value")
Told = Callable[[Exception, float], None]
"""Hears of each failure, and how many seconds pass before the next attempt."""


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Wait by the clock of the event loop."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Patience:
    """The pauses of a worker. They end with it: a message that still waits for something goes back to the broker."""

    def __init__(self, wait: Wait = wait_for) -> None:
        self._wait = wait
        self._ended = asyncio.Event()

    def end(self) -> None:
        """End all pauses, those to come as well."""
        self._ended.set()

    async def pause(self, seconds: float) -> None:
        """Wait. Raises `HandBack` when patience has ended."""
        if await self._wait(self._ended, seconds):
            raise HandBack

    async def until_answered(
        self, call: Callable[[], Awaitable[Value]], *, errors: type[Exception] | tuple[type[Exception], ...],
        told: Told, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS,
    ) -> Value:  # fmt: skip
        """Return the first answer of `call`, however often it raises one of `errors` before.

        Raises any other error of `call`, whatever `told` raises, and `HandBack` when patience ends in a pause.
        """
        try:
            return await call()
        except errors as error:
            failed = [error]

        async def again() -> Value:
            if failed:  # the failure that is known already counts as the first attempt
                raise failed.pop()
            return await call()

        def say(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            assert isinstance(error, Exception), "only these are retried"
            told(error, state.upcoming_sleep)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(errors),
            wait=lambda state: back_off(state.attempt_number - 1, first=first, longest=longest),
            sleep=self.pause,
            before_sleep=say,
        )
        return await retrying(again)
