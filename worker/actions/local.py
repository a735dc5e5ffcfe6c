"""Calling the action of a node: in this process, or at the service that owns it."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from connectors import Batch, Connector, CustomNode, Message, Outcome
from connectors.message import current_message
from connectors.secrets import current_secrets, without_known
from worker.actions.exits import called
from worker.actions.outcomes import checked, is_ours, outcome_of_error, ungrouped
from worker.actions.registry import AnyAction
from worker.errors import ActionsError, ActionUnreachable
from worker.protocol import headers as h
from worker.protocol.message import Visit

Call = Callable[[Visit], Awaitable[Outcome]]


def local_call(action: AnyAction, outcome_of: Callable[[BaseException, str], Outcome] = outcome_of_error) -> Call:
    """Return the call of an action of this process. What the action raises becomes an outcome here, by `outcome_of`."""
    run, takes_cursor = _runner(action)

    async def call(visit: Visit) -> Outcome:
        current_secrets.set({})
        return without_known(await outcome_of_run(visit))

    async def outcome_of_run(visit: Visit) -> Outcome:
        message = Message(_received(visit), visit.body, action.read)
        current_message.set(message)
        try:
            result = await (run(message, visit.headers.text(h.CURSOR) or None) if takes_cursor else run(message))
            return checked(result, action.name)
        except BaseException as raised:  # whatever somebody's code raises, other messages shall not notice
            error = ungrouped(raised)
            if is_ours(error):
                raise error from raised.__cause__
            return outcome_of(error, action.name)

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
            async with asyncio.timeout(visit.node.timeout_seconds):
                return await call(visit)
        except TimeoutError as error:
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
    return function if inspect.iscoroutinefunction(function) else partial(asyncio.to_thread, called, function)
