"""Calling an action of this process, so that nothing that it raises ends more than its own work.

`SystemExit` in a task that an action has started would end the event loop, and so the process. `GeneratorExit` closes
whoever awaits it instead of being raised there, and `StopIteration` cannot be awaited at all.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from connectors import Batch, Connector, CustomNode, Forward, Message, Outcome
from connectors.message import current_message
from connectors.secrets import current_secrets, without_known
from worker.actions.outcomes import checked, is_ours, outcome_of_error, ungrouped
from worker.actions.registry import AnyAction
from worker.errors import ActionsError, ActionUnreachable, text_of
from worker.protocol import headers as h
from worker.protocol.message import Visit

Call = Callable[[Visit], Awaitable[Outcome]]


def local_call(action: AnyAction, outcome_of: Callable[[BaseException, str], Outcome] = outcome_of_error) -> Call:
    """Return the call of an action of this process. What the action raises becomes an outcome here, by `outcome_of`."""
    run, takes_cursor = _runner(action)

    async def call(visit: Visit) -> Outcome:
        current_secrets.set({})
        message = Message(_received(visit), visit.body, action.read)
        current_message.set(message)
        try:
            result = await (run(message, visit.headers.text(h.CURSOR) or None) if takes_cursor else run(message))
            if type(result) is Message and type(result.headers) is dict and type(result.body) is str:
                return Forward(result)  # asked here, because most are like this
            outcome = checked(result, action.name)
        except BaseException as raised:  # whatever somebody's code raises, other messages shall not notice
            error = ungrouped(raised)
            if is_ours(error):
                raise error from raised.__cause__
            outcome = outcome_of(error, action.name)
        return without_known(outcome)

    return call


def _received(visit: Visit) -> h.Headers:
    """Return the headers for the action. Its node says which service it belongs to, as in a call over HTTP."""
    headers = h.without(visit.headers, h.VERDICT)
    if sdk := visit.node.headers.get(h.SDK):
        headers[h.SDK] = sdk
    return headers


def timed(call: Call, service: str = "") -> Call:
    """Cancel the call when the node's time is up, and treat it like an action that cannot be reached.

    `service` as in `ActionUnreachable`.
    """

    async def timed_call(visit: Visit) -> Outcome:
        try:
            async with asyncio.timeout(visit.node.timeout_seconds) as limit:
                return await call(visit)
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not limit.expired():
                raise  # the limit says so, as a failed `TaskGroup` leaves the task's count of cancels too high
            raise ActionUnreachable(
                f"{visit.node.action_path} took longer than settings.timeout={visit.node.timeout_seconds:g} s",
                service,
            ) from error

    return timed_call


def _runner(action: AnyAction) -> tuple[Callable[..., Awaitable[Any]], bool]:
    """Return what to call, and whether it takes a cursor beside the message."""
    match action:
        case CustomNode() | Connector():
            return _awaitable(action.process), False
        case Batch():
            return _awaitable(action.page), True
    raise ActionsError(f"{type(action).__qualname__} is neither CustomNode, Connector nor Batch: derive from one.")


def _awaitable(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A method that is not async runs in a thread, where it holds up nobody."""
    return function if inspect.iscoroutinefunction(function) else partial(asyncio.to_thread, _called, function)


class ActionExited(Exception):
    """Code of an action has asked the process to end."""


@contextmanager
def contained() -> Iterator[None]:
    """Let a task of an action fail that would end more, as it does with any other error, while the context is open."""
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


_FAR_REACHING = (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration)


async def _failing(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except _FAR_REACHING as error:
        if is_ours(error):
            raise
        raise _exited(error) from error


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what runs in a thread."""
    try:
        return function(*arguments)
    except _FAR_REACHING as error:
        raise _exited(error) from error


def _exited(error: BaseException) -> ActionExited:
    return ActionExited(f"{type(error).__name__}: {text_of(error)}").with_traceback(error.__traceback__)
