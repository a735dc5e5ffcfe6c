"""JMESPath in counted steps: whatever an expression says, it ends soon and makes nothing large.

Each node of the expression that is visited is a step, and so is each value that comes to be. What refers to one
value many times (`[@, @] | [@, @] | …`) counts as large as it is when it is written.
"""

from collections.abc import Mapping
from typing import Any, Final

from jmespath import compile as compile_expression
from jmespath import exceptions, functions
from jmespath.parser import ParsedResult
from jmespath.visitor import Options, TreeInterpreter

from connectors.nodes.languages import ExpressionFailed, ExpressionWrong, one_line

MANY: Final = 100_000
"""Steps of an expression that takes about a tenth of a second."""

_CHARACTERS: Final = 32
"""Of a text that count as one step."""

_MAKING: Final = frozenset(
    {"multi_select_list", "multi_select_dict", "function_expression"}
    | {"projection", "filter_projection", "value_projection"}
)


class TooManySteps(ExpressionFailed):
    """The expression takes more steps than it may."""


class _Steps(TreeInterpreter):
    def __init__(self, headers: Mapping[str, Any], most: int) -> None:
        super().__init__(Options(custom_functions=_Functions(self, headers)))
        self._left = most

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            self.take(0)
        made: Any = super().visit(node, *args, **kwargs)
        if node["type"] in _MAKING and isinstance(made, str | list | dict):
            self.take_for(made)
        return made

    def take(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooManySteps("it takes too many steps; shorten it, or split the message before")

    def take_for(self, value: Any) -> None:
        """Count a value as large as it is when it is written."""
        open_values = [value]
        while open_values:
            found = open_values.pop()
            if isinstance(found, dict):
                self.take(1 + len(found))
                open_values.extend(found.values())
            elif isinstance(found, list):
                self.take(1 + len(found))
                open_values.extend(found)
            elif isinstance(found, str):
                self.take(len(found) // _CHARACTERS)


class _Functions(functions.Functions):
    def __init__(self, steps: _Steps, headers: Mapping[str, Any]) -> None:
        self._steps = steps
        self._headers = headers

    @functions.signature({"types": ["string"]})
    def _func_header(self, name: str) -> Any:
        return self._headers.get(name)

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, array: list[str]) -> str:
        """Count the text before it is made: it may be as long as the square of its parts."""
        self._steps.take((len(separator) * len(array) + sum(map(len, array))) // _CHARACTERS)
        return separator.join(array)


def parse(text: str) -> ParsedResult:
    """Read an expression. Raises `ExpressionWrong` with the place."""
    try:
        return compile_expression(text)
    except Exception as error:
        position = getattr(error, "lex_position", None)
        where = "" if position is None else f" at character {position + 1}"
        raise ExpressionWrong(f"no JMESPath{where}: {one_line(error)}") from None


def search(parsed: ParsedResult, data: Any, headers: Mapping[str, Any], most: int = MANY) -> Any:
    """Return what the expression finds. Raises `TooManySteps`, and `ExpressionFailed` for what it cannot do."""
    try:
        return _Steps(headers, most).visit(parsed.parsed, data)
    except ExpressionFailed:
        raise
    except exceptions.JMESPathTypeError as error:
        kinds = ", ".join(error.expected_types)
        raise ExpressionFailed(f"{error.function_name}() takes {kinds}, not {error.actual_type}") from None
    except Exception as error:
        raise ExpressionFailed(one_line(error)) from None
