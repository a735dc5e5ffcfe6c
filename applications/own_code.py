"""Calling what an application has written itself, so that nothing it raises ends more than its own work."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


class Exited(Exception):
    """Code of an application has asked the process to end, or the task that called it."""


async def called(method: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a method returns, `async` or not. Raises what it raises; what is no `Exception`, as `Exited`."""
    try:
        found = method(*arguments)
        return await found if inspect.isawaitable(found) else found
    except Exception:
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():  # it is us who end it
            raise
        raise Exited(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__) from None
