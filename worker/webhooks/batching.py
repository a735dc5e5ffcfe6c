"""Many small askings made one: what comes while one is under way goes together with the next."""

from asyncio import Future, Task, get_running_loop, sleep
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST = 200
WINDOW_SECONDS = 0.008
"""How long the first of a group waits for others. A transaction takes a millisecond of CPU time, however large."""


class Batcher(Generic[Item, Result]):
    """Calls `work` with lists of items and gives each caller its result, in order. One call at a time.

    A task of its own does it: a caller who did it for the others would wait as long as others come, and one who is
    cancelled would take them along.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._work = work
        self._waiting: list[tuple[Item, Future[Result]]] = []
        self._working: Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """Return the item's result. Raises what `work` raises."""
        future: Future[Result] = get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._working is None:
            self._working = get_running_loop().create_task(self._work_off(), name="batching")
        return await future

    async def _work_off(self) -> None:
        """Work until nobody waits."""
        try:
            while self._waiting:
                await sleep(WINDOW_SECONDS)
                group, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
                await self._do(group)
        finally:
            self._working = None

    async def _do(self, group: Sequence[tuple[Item, Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _ in group])
        except BaseException as error:  # the others must hear of it, whatever it is
            for _, future in group:
                if not future.done():
                    future.set_exception(error if isinstance(error, Exception) else ConnectionError("given up"))
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), result in zip(group, results, strict=True):
            if not future.done():
                future.set_result(result)
