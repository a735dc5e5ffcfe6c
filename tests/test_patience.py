"""Asking until there is an answer, on a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from applications.pauses import back_off
from worker.errors import HandBack, StoreError
from worker.patience import Patience
from worker.testing import FakeClock

Call = Callable[[], Awaitable[str]]


class Told:
    """What is said of each failure."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.pauses: list[float] = []
        self.heard = asyncio.Event()

    def __call__(self, error: Exception, seconds: float) -> None:
        self.errors.append(str(error))
        self.pauses.append(seconds)
        self.heard.set()


def failing(*errors: Exception) -> Call:
    """Return a call that raises these, one after another, before it answers."""
    left = list(errors)

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return call


async def finished(clock: FakeClock, asking: Awaitable[str]) -> str:
    """Move the clock until there is an answer."""
    task = asyncio.ensure_future(asking)
    while not task.done():
        clock.changed.clear()
        if not clock.advance():
            changed = asyncio.ensure_future(clock.changed.wait())
            await asyncio.wait([task, changed], return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        await asyncio.sleep(0)
    return await task


async def test_an_answer_at_once_comes_without_a_pause() -> None:
    told = Told()
    assert await Patience().until_answered(failing(), errors=StoreError, told=told) == "answer"
    assert not told.errors


async def test_pauses_grow_to_the_longest_and_no_two_workers_keep_step() -> None:
    seen: set[float] = set()
    for _ in range(20):
        clock, told = FakeClock(), Told()
        call = failing(*(StoreError(str(number)) for number in range(8)))
        asking = Patience(clock.wait).until_answered(call, errors=StoreError, told=told, first=0.5, longest=10)
        assert await finished(clock, asking) == "answer"
        assert told.errors == [str(number) for number in range(8)]
        longest = (0.5, 1, 2, 4, 8, 10, 10, 10)
        assert all(most / 2 <= pause <= most for pause, most in zip(told.pauses, longest, strict=True))
        assert clock() == pytest.approx(sum(told.pauses))
        seen.update(told.pauses)
    assert len(seen) == 20 * 8


async def test_what_is_no_failure_to_wait_for_is_raised_at_once_and_later() -> None:
    for before in ((), (StoreError("away"),)):
        clock, told = FakeClock(), Told()
        call = failing(*before, LookupError("wrong"))
        with pytest.raises(LookupError, match="wrong"):
            await finished(clock, Patience(clock.wait).until_answered(call, errors=(StoreError, OSError), told=told))
        assert len(told.errors) == len(before)


async def test_the_end_of_patience_hands_back_what_waits_and_what_comes_to_wait() -> None:
    patience, told = Patience(), Told()
    call = failing(*[StoreError("away")] * 9)
    waiting = asyncio.ensure_future(patience.until_answered(call, errors=StoreError, told=told, first=600, longest=600))
    await told.heard.wait()
    patience.end()
    with pytest.raises(HandBack):
        await waiting
    with pytest.raises(HandBack):
        await patience.until_answered(call, errors=StoreError, told=told)
    assert len(told.errors) == 2


async def test_what_the_listener_raises_ends_the_waiting() -> None:
    def told(error: Exception, seconds: float) -> None:
        raise TimeoutError(f"{error} for too long")

    with pytest.raises(TimeoutError, match="away for too long"):
        await Patience().until_answered(failing(StoreError("away")), errors=StoreError, told=told)


def test_failures_for_days_do_not_overflow() -> None:
    assert 150 <= back_off(100_000, longest=300) <= 300
