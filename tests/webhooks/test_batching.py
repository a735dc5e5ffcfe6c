"""Many askings made one: nobody waits for those who came later, nobody takes others along."""

import asyncio
from collections.abc import Sequence

import pytest

from worker.webhooks.batching import Batcher


class Doubling:
    """Doubles numbers in groups; each group waits until the test lets it go."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self.ask: Batcher[int, int] = Batcher(self._work)

    async def _work(self, numbers: Sequence[int]) -> Sequence[int]:
        let_go = asyncio.Event()
        self.started.put_nowait(let_go)
        await let_go.wait()
        return [number * 2 for number in numbers]


async def test_the_first_has_its_answer_while_others_still_come() -> None:
    doubling = Doubling()
    first = asyncio.create_task(doubling.ask(1))
    group = await doubling.started.get()
    second = asyncio.create_task(doubling.ask(2))
    await asyncio.sleep(0)  # the second waits now
    group.set()
    later = await doubling.started.get()
    assert await first == 2
    assert not second.done()
    later.set()
    assert await second == 4


async def test_who_gives_up_takes_nobody_along() -> None:
    doubling = Doubling()
    first, second = (asyncio.create_task(doubling.ask(number)) for number in (1, 2))
    group = await doubling.started.get()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    group.set()
    assert await second == 4


async def test_all_hear_of_an_error_and_the_next_group_works() -> None:
    async def work(numbers: Sequence[int]) -> Sequence[int]:
        if 0 in numbers:
            raise ValueError("no zero")
        return numbers

    ask: Batcher[int, int] = Batcher(work)
    answers = await asyncio.gather(ask(0), ask(1), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError, ValueError]
    assert await ask(3) == 3
