"""What an action returns or raises, checked where it is made: what passes here can be worked with.

The errors name the action and the field.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import NoneType
from typing import Any

from applications.errors import ApplicationError
from connectors import Exponential, Forward, Limited, Message, Outcome, Page, Repeat, Trash
from connectors.delay import Delay
from connectors.message import current_message
from connectors.outcome import Verdict, as_value
from worker.actions.errors import describe, outcome_of
from worker.errors import EndsTest


class OutcomeMalformed(TypeError):
    """A field of an outcome is not what it should be."""


def checked(result: object, action: str) -> Outcome:
    """Return the outcome that an action has returned. Raises `OutcomeMalformed`."""
    if isinstance(result, Message):
        _check_message(result, f"{action} returned a Message")
        return Forward(result)
    place = f"{action} returned {type(result).__name__}"
    match result:
        case Verdict():
            return _checked_verdict(as_value(result), place)
        case Forward():
            _check_message(result.message, place)
            _check_targets(result.to, place)
            _check(place, "reason", result.reason, (str,), "a text")
            return result
        case Page():
            return _checked_page(result, place)
    raise OutcomeMalformed(f"{place}, not a Message or an outcome")


def outcome_of_error(error: BaseException, action: str) -> Outcome:
    """Return what becomes of the message whose action has raised this."""
    try:
        match _leading(error):
            case Verdict() as verdict:
                return _checked_verdict(as_value(verdict), f"{action} raised {type(verdict).__name__}")
            case ApplicationError() as known:
                return outcome_of(known)
    except BaseException as other:  # the delay of a verdict may be the action's own code
        error = other
    return Trash(str(error) if isinstance(error, OutcomeMalformed) else describe(error))


def is_ours(error: BaseException) -> bool:
    """Whether the worker itself, or a test, ends the task, rather than the action raising what would."""
    if isinstance(error, EndsTest):
        return True
    if isinstance(error, GeneratorExit):
        return asyncio.current_task() is None
    return isinstance(error, asyncio.CancelledError) and is_being_cancelled()


def ungrouped(error: BaseException) -> BaseException:
    """Return a cancel as such where libraries raise it in a group; all others as they are."""
    if isinstance(error, BaseExceptionGroup) and is_being_cancelled() and not error.split(asyncio.CancelledError)[1]:
        return asyncio.CancelledError()
    return error


def is_being_cancelled() -> bool:
    """Whether somebody cancels this task, rather than code in it raising `CancelledError`."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_verdict(error: BaseException) -> bool:
    """Whether the action has said so what becomes of the message, rather than failed."""
    return isinstance(_leading(error), Verdict)


def _leading(error: BaseException) -> BaseException:
    """Return the first verdict of a group, as a `TaskGroup` raises it, unless there are errors beside it."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    verdicts, others = error.split((Verdict, ApplicationError))
    return error if others is not None or verdicts is None else next(_leaves(verdicts))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _checked_verdict(outcome: Outcome, place: str) -> Outcome:
    match outcome:
        case Repeat():
            _check(place, "max_hops", outcome.max_hops, (int,), "a whole number")
            outcome = replace(outcome, after=_checked_delay(outcome.after, place))
        case Limited():
            _check(place, "after", outcome.after, (timedelta, NoneType), "a timedelta")
    _check(place, "reason", getattr(outcome, "reason", None), (str,), "a text")
    if outcome.message is not None:
        _check_message(outcome.message, place)
    return outcome


def _checked_delay(delay: Delay, place: str) -> Delay:
    """Return the delay; of one that the action has derived itself the time, since it may raise anything."""
    _check(place, "after", delay, (timedelta, Exponential), "a timedelta")
    if isinstance(delay, timedelta) or type(delay) is Exponential:
        return delay
    message = current_message.get()
    time = delay.after(message.hop if message else 1, random.uniform)
    _check(place, "after", time, (timedelta,), "a timedelta")
    return time


def _checked_page(page: Page, place: str) -> Page:
    _check(place, "next_cursor", page.next_cursor, (str, int, NoneType), "a text")
    _check(place, "trail", page.trail, (str,), "a text")
    _check(place, "reason", page.reason, (str,), "a text")
    _check(place, "confirmed", page.confirmed, (Callable, NoneType), "a function")
    _check_targets(page.to, place)
    if page.message is not None:
        _check_message(page.message, place)
    items = _items(page.items, place)
    for number, item in enumerate(items):
        if isinstance(item, Message):
            _check_message(item, f"{place}, items[{number}]")
    return page if items is page.items else replace(page, items=items)


def _items(items: object, place: str) -> Sequence[Any]:
    """Return the items as a list: others are read once, here, where their errors are those of the action."""
    if isinstance(items, list | tuple):
        return items
    if not isinstance(items, Iterable) or isinstance(items, str | bytes | bytearray | Mapping):
        raise _malformed(place, "items", items, "a list")
    return list(items)


def _check_message(message: object, place: str) -> None:
    if not isinstance(message, Message):
        raise _malformed(place, "message", message, "a Message")
    _check(place, "headers", message.headers, (Mapping,), "a mapping")
    _check(place, "body", message.body, (str,), "a text")


def _check_targets(to: object, place: str) -> None:
    if to is not None and not (isinstance(to, list | tuple) and all(isinstance(name, str) for name in to)):
        raise _malformed(place, "to", to, "a tuple of ids or names")


def _check(place: str, name: str, value: object, kinds: tuple[Any, ...], wanted: str) -> None:
    if not isinstance(value, kinds):
        raise _malformed(place, name, value, wanted)


def _malformed(place: str, name: str, value: object, wanted: str) -> OutcomeMalformed:
    return OutcomeMalformed(f"{place}: {name} must be {wanted}, not {type(value).__name__}")
