"""Errors that end more than the code that raises them.

`SystemExit` in a task that an action has started ends the event loop, and so the process. `GeneratorExit` closes
whoever awaits it instead of being raised there, and `StopIteration` cannot be awaited at all.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from connectors.message import current_message
from worker.actions.outcomes import is_ours
from worker.errors import text_of


class ActionExited(Exception):
    """Code of an action has asked the process to end."""


@contextmanager
def contained() -> Iterator[None]:
    """Let such a task fail, as it does with any other error, while the context is open."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        own = coroutine if current_message.get() is None else _failing(coroutine)
        task: Any = asyncio.Task(own, loop=loop, **options) if before is None else before(loop, own, **options)
        if own is not coroutine:
            task.add_done_callback(lambda _: coroutine.close())  # which does not begin when the task is cancelled first
        return task

    loop.set_task_factory(make)
    try:
        yield
    finally:
        loop.set_task_factory(before)


def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what runs in a thread."""
    try:
        return function(*arguments)
    except _FAR_REACHING as error:
        raise _exited(error) from error


async def _failing(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except _FAR_REACHING as error:
        if is_ours(error):
            raise
        raise _exited(error) from error


_FAR_REACHING = (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration)


def _exited(error: BaseException) -> ActionExited:
    return ActionExited(f"{type(error).__name__}: {text_of(error)}").with_traceback(error.__traceback__)
