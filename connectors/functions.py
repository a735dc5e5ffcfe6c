"""Actions written as functions.

    @custom_node("add-vat")
    def add_vat(order: Order) -> Order: ...

    @connector("shop-get-order", application=Shop)
    async def get_order(order: OrderId, service: Service) -> Order: ...

    @batch("shop-list-orders", application=Shop)
    async def list_orders(query: Query, service: Service, cursor: str | None) -> Page: ...

The first parameter is the body as its type, or the whole message when it is a `Message[...]`. Parameters named
`service` and `cursor` get the way to the service and the batch's cursor. What is returned becomes the body, unless it
is a `Message` or an outcome. Functions that are not async run in a thread, so they may take their time; the time limit
of a node cannot interrupt them.
"""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from applications import Application
from connectors.action import Batch, Connector, CustomNode, reader_of
from connectors.message import Message
from connectors.outcome import Outcome, Page
from connectors.rules import Rules

Function = Callable[..., Any]


class _Plan:
    """How a function is called for a message."""

    def __init__(self, function: Function, allowed: frozenset[str]) -> None:
        hints = get_type_hints(function)
        parameters = list(inspect.signature(function).parameters)
        unknown = [name for name in parameters[1:] if name not in allowed]
        if not parameters or unknown:
            raise TypeError(
                f"{function.__qualname__} takes the body or the message first"
                + (f", and then may take {' and '.join(sorted(allowed))}" if allowed else "")
                + (f", not {', '.join(unknown)}" if unknown else "")
            )
        first = hints.get(parameters[0], Any)
        self.takes_message = (get_origin(first) or first) is Message
        self.input_type = (get_args(first) or (Any,))[0] if self.takes_message else first
        self.output_type = _output(hints.get("return", Any))
        self.wanted = frozenset(parameters[1:])
        self.is_async = inspect.iscoroutinefunction(function)
        if not self.is_async and "service" in self.wanted:
            raise TypeError(f"{function.__qualname__} wants the service, which only async functions can ask")
        self.function = function

    async def __call__(self, message: Message[Any], **others: Any) -> Any:
        first = message if self.takes_message else message.data
        arguments = {name: value for name, value in others.items() if name in self.wanted}
        if self.is_async:
            return await self.function(first, **arguments)
        return await asyncio.to_thread(self.function, first, **arguments)


def _output(kind: Any) -> Any:
    """The type in `Message[...]`; outcomes say nothing about the body."""
    kinds = list(get_args(kind) or (kind,)) if get_origin(kind) is not Message else [kind]
    for part in kinds:
        if get_origin(part) is Message:
            return get_args(part)[0]
    if (get_origin(kind) or kind) is list or not any(_is_outcome(part) for part in kinds):
        return kind
    rest = [part for part in kinds if not _is_outcome(part)]
    return rest[0] if len(rest) == 1 else Any


def _is_outcome(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, (*get_args(Outcome), Message))


class _Function:
    """What actions made of functions have in common."""

    name: str
    _plan: _Plan

    def _take(self, function: Function, name: str, allowed: frozenset[str]) -> None:
        self._plan = _Plan(function, allowed)
        self.name = name
        self.input_type, self.output_type = self._plan.input_type, self._plan.output_type
        self.read = reader_of(self.input_type)
        self.__doc__ = function.__doc__

    @property
    def definition(self) -> Function:
        """The function."""
        return self._plan.function

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function itself, as a test does."""
        return self._plan.function(*arguments, **named)


def _forwarded(message: Message[Any], result: Any) -> Any:
    if result is None or isinstance(result, Message | Outcome):
        return result
    return message.with_data(result)


class FunctionNode(_Function, CustomNode[Any, Any]):
    """A custom node that is a function."""

    def __init__(self, function: Function, name: str) -> None:
        self._take(function, name, frozenset())

    async def process(self, message: Message[Any]) -> Any:
        """Call the function."""
        return _forwarded(message, await self._plan(message))


class FunctionConnector(_Function, Connector[Any, Any]):
    """A connector that is a function."""

    def __init__(self, function: Function, name: str) -> None:
        self._take(function, name, frozenset({"service"}))

    async def process(self, message: Message[Any]) -> Any:
        """Call the function."""
        return _forwarded(message, await self._plan(message, service=self.service))


class FunctionBatch(_Function, Batch[Any, Any]):
    """A batch that is a function."""

    def __init__(self, function: Function, name: str) -> None:
        self._take(function, name, frozenset({"service", "cursor"}))

    async def page(self, message: Message[Any], cursor: str | None) -> Any:
        """Call the function; a list is a last page."""
        result = await self._plan(message, service=self.service, cursor=cursor)
        return Page(result) if isinstance(result, Sequence) and not isinstance(result, str) else result


def custom_node(name: str) -> Callable[[Function], FunctionNode]:
    """Make a custom node of a function. Raises `TypeError` for parameters that nobody fills."""
    return lambda function: FunctionNode(function, name)


def connector(
    name: str, *, application: type[Application] | None = None, rules: Rules | None = None
) -> Callable[[Function], FunctionConnector]:
    """Make a connector of a function."""

    def make(function: Function) -> FunctionConnector:
        made = FunctionConnector(function, name)
        _at_service(made, application, rules)
        return made

    return make


def batch(
    name: str, *, application: type[Application] | None = None, rules: Rules | None = None
) -> Callable[[Function], FunctionBatch]:
    """Make a batch of a function, which returns a `Page`, or a list where there is only one page."""

    def make(function: Function) -> FunctionBatch:
        made = FunctionBatch(function, name)
        _at_service(made, application, rules)
        return made

    return make


def _at_service(
    made: FunctionConnector | FunctionBatch, application: type[Application] | None, rules: Rules | None
) -> None:
    made.application = application
    if rules is not None:
        made.rules = rules
