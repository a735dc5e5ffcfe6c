"""Calling the action of a node: in this process, or at the service that owns it."""

import asyncio
import inspect
import os
import traceback
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydantic
from pydantic import ValidationError

import connectors
from applications import ApplicationError
from connectors import (
    ActionInterrupted,
    Batch,
    Connector,
    CustomNode,
    Forward,
    Message,
    Outcome,
    Trash,
    current_message,
)
from connectors.secrets import current_secrets, without_known
from worker import headers as h
from worker.application_errors import outcome_of
from worker.configuration import configured
from worker.errors import ActionsError, ActionUnreachable
from worker.registry import AnyAction, Registry
from worker.remote import RemoteActions
from worker.topology import Node, Role
from worker.visit import Visit

Call = Callable[[Visit], Awaitable[Outcome]]

_LIBRARIES = (Path(os.__file__).parent, Path(pydantic.__file__).parent.parent)
_OUR_PACKAGES = {Path(__file__).parent, Path(connectors.__file__).parent}

ACTION_ROLES = frozenset({Role.CONNECTOR, Role.CUSTOM_NODE, Role.BATCH})


def bind(nodes: Iterable[Node], registry: Registry, remote: RemoteActions) -> dict[str, Call]:
    """Return the call of each node with an action, by node id.

    An action of this process wins over the node's URL. Raises `ActionsError` listing what exists for a node whose
    action is neither here nor at a URL.
    """
    return {node.id: _call(node, registry, remote) for node in nodes if node.role in ACTION_ROLES}


def _call(node: Node, registry: Registry, remote: RemoteActions) -> Call:
    action = registry.get(*node.action) if node.action else None
    if action is not None:
        return timed(local_call(configured(action, node)))
    if urlsplit(node.url).hostname:
        return timed(remote.call)
    raise ActionsError(
        f"node {node.name} ({node.id}) wants the action {node.action_path!r}, which is not in this process, and its "
        f"settings.url names no service. Actions here: {registry.names()}. Add a module with --actions."
    )


def local_call(action: AnyAction) -> Call:
    """Return the call of an action of this process. What the action raises becomes an outcome here."""
    run = _runner(action)

    async def call(visit: Visit) -> Outcome:
        current_secrets.set({})
        return without_known(await outcome_of_run(visit))

    async def outcome_of_run(visit: Visit) -> Outcome:
        message = Message(h.without(visit.headers, h.VERDICT), visit.body, action.read)
        current_message.set(message)
        try:
            result = await run(message, visit)
        except ActionInterrupted as interruption:
            return interruption.outcome
        except ApplicationError as error:
            return outcome_of(error)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            return Trash(describe(error))
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            return Trash(describe(error))
        return Forward(result) if isinstance(result, Message) else _checked(result, action)

    return call


def timed(call: Call) -> Call:
    """Cancel the call when the node's time is up, and treat it like an action that cannot be reached."""

    async def timed_call(visit: Visit) -> Outcome:
        try:
            async with asyncio.timeout(visit.node.timeout_seconds):
                return await call(visit)
        except TimeoutError as error:
            raise ActionUnreachable(
                f"{visit.node.action_path} took longer than settings.timeout={visit.node.timeout_seconds:g} s"
            ) from error

    return timed_call


def is_being_cancelled() -> bool:
    """Whether somebody cancels this task, rather than code in it raising `CancelledError`."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _runner(action: AnyAction) -> Callable[[Message[Any], Visit], Awaitable[Any]]:
    match action:
        case CustomNode() | Connector():
            process = _awaitable(action.process)
            return lambda message, _: process(message)
        case Batch():
            page = _awaitable(action.page)
            return lambda message, visit: page(message, visit.header(h.CURSOR) or None)
    raise ActionsError(f"{type(action).__qualname__} is neither CustomNode, Connector nor Batch: derive from one.")


def _awaitable(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A method that is not async runs in a thread, where it holds up nobody."""
    return function if inspect.iscoroutinefunction(function) else partial(asyncio.to_thread, function)


def _checked(result: Any, action: AnyAction) -> Outcome:
    if isinstance(result, Outcome):
        return result
    return Trash(f"{action.name} returned {type(result).__name__}, not a Message or an outcome")


def describe(error: BaseException) -> str:
    """Return type, text and place of an error. No values of variables: they may hold secrets."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}: {_text(error)}{_place(frames) if frames else ''}"


def _place(frames: traceback.StackSummary) -> str:
    """Show the innermost line of the action itself: what it called in libraries says less."""
    own = [frame for frame in frames if not _is_library(frame)]
    own = [frame for frame in own if Path(frame.filename).parent not in _OUR_PACKAGES]
    frame = (own or frames)[-1]
    path = Path(frame.filename)
    return f" (at {path.parent.name}/{path.name}:{frame.lineno} in {frame.name})"


def _is_library(frame: traceback.FrameSummary) -> bool:
    return any(Path(frame.filename).is_relative_to(folder) for folder in _LIBRARIES)


def _text(error: BaseException) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    problems = error.errors(include_input=False, include_url=False)
    return f"{error.title}: " + "; ".join(
        f"at ${''.join(f'.{part}' for part in problem['loc'])}: {problem['msg']}" for problem in problems
    )
