"""The languages of expressions: JMESPath, JSONata and Jinja.

Each is compiled once and evaluated on plain JSON values. None reaches Python objects, attributes or files. What is
bounded: JSONata in time and depth, Jinja's output in size, its loops in the length of a `range`. The languages'
packages are imported when the first expression of theirs is compiled.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json

Evaluate = Callable[[Any, Mapping[str, Any]], Any]
"""Takes the data and the headers of a message."""

LONGEST_SECONDS = 2.0
"""How long one evaluation may take, as far as a language can be interrupted."""

DEEPEST = 200
MOST_CHARACTERS = 32 * 1024 * 1024


class ExpressionWrong(ValueError):
    """The expression does not parse; the text names the place in it."""


class ExpressionFailed(Exception):
    """The expression cannot be evaluated on these data."""


def compile_jmespath(text: str) -> Evaluate:
    """Compile JMESPath. Besides the standard functions there is `header('name')`."""
    import jmespath  # noqa: PLC0415 - see above
    from jmespath import exceptions, functions  # noqa: PLC0415 - see above

    class WithHeaders(functions.Functions):
        def __init__(self, headers: Mapping[str, Any]) -> None:
            self._headers = headers

        @functions.signature({"types": ["string"]})
        def _func_header(self, name: str) -> Any:
            return self._headers.get(name)

    try:
        compiled = jmespath.compile(text)
    except exceptions.JMESPathError as error:
        position = getattr(error, "lex_position", None)
        where = "" if position is None else f" at character {position + 1}"
        raise ExpressionWrong(f"no JMESPath{where}: {_one_line(error)}") from None

    def evaluate(data: Any, headers: Mapping[str, Any]) -> Any:
        try:
            return compiled.search(data, options=jmespath.Options(custom_functions=WithHeaders(headers)))
        except (exceptions.JMESPathError, TypeError) as error:
            raise ExpressionFailed(_kind_of(error)) from None

    return evaluate


def compile_jsonata(text: str) -> Evaluate:
    """Compile JSONata. `$headers` holds the headers. Stopped after `LONGEST_SECONDS` or `DEEPEST` calls."""
    from jsonata.jexception import JException  # type: ignore[import-untyped]  # noqa: PLC0415 - see above
    from jsonata.jsonata import Jsonata  # type: ignore[import-untyped]  # noqa: PLC0415 - see above

    try:
        compiled = Jsonata(text)
    except JException as error:
        raise ExpressionWrong(f"no JSONata at character {error.location + 1}: {_one_line(error)}") from None

    def evaluate(data: Any, headers: Mapping[str, Any]) -> Any:
        frame = compiled.create_frame()
        frame.bind("headers", dict(headers))
        frame.set_runtime_bounds(int(LONGEST_SECONDS * 1000), DEEPEST)
        try:
            return compiled.evaluate(data, frame)
        except (JException, ArithmeticError, RecursionError, TypeError, ValueError) as error:
            raise ExpressionFailed(_one_line(error)) from None

    return evaluate


def compile_template(text: str) -> Evaluate:
    """Compile a Jinja template, which makes text of `data` and `headers`."""
    from jinja2 import TemplateError  # noqa: PLC0415 - see above

    from connectors.nodes.sandbox import environment  # noqa: PLC0415 - see above

    try:
        template = environment().from_string(text)
    except TemplateError as error:
        raise ExpressionWrong(f"no Jinja template at line {getattr(error, 'lineno', 1)}: {error.message}") from None

    def evaluate(data: Any, headers: Mapping[str, Any]) -> str:
        deadline, pieces, characters = time.monotonic() + LONGEST_SECONDS, [], 0
        try:
            for piece in template.generate(data=data, headers=headers):
                characters += len(piece)
                if characters > MOST_CHARACTERS or time.monotonic() > deadline:
                    raise ExpressionFailed(f"more than {MOST_CHARACTERS} characters or {LONGEST_SECONDS:g} s")
                pieces.append(piece)
        except _TEMPLATE_ERRORS as error:
            raise ExpressionFailed(_one_line(error)) from None
        return "".join(pieces)

    return evaluate


def compile_condition(text: str) -> Evaluate:
    """Compile a Jinja expression, such as `data.total > 100`, which gives a value."""
    from jinja2 import TemplateError  # noqa: PLC0415 - see above

    from connectors.nodes.sandbox import environment  # noqa: PLC0415 - see above

    try:
        compiled = environment().compile_expression(text, undefined_to_none=False)
    except TemplateError as error:
        raise ExpressionWrong(f"no Jinja expression: {error.message}") from None

    def evaluate(data: Any, headers: Mapping[str, Any]) -> Any:
        try:
            value = compiled(data=data, headers=headers)
            bool(value)  # says so when it is undefined
        except _TEMPLATE_ERRORS as error:
            raise ExpressionFailed(_one_line(error)) from None
        return value

    return evaluate


def render_json(text: str) -> Any:
    """Read what a template made. Raises `ExpressionFailed` when it is no JSON."""
    try:
        return from_json(text)
    except ValueError as error:
        raise ExpressionFailed(f"the template does not make JSON: {error}") from None


_TEMPLATE_ERRORS = (Exception,)
"""A template calls methods of text, numbers and lists, which raise whatever they like."""


def _kind_of(error: Exception) -> str:
    """Name the error of JMESPath without the values that its text holds."""
    from jmespath.exceptions import JMESPathTypeError  # noqa: PLC0415 - imported by then

    if isinstance(error, JMESPathTypeError):
        return f"{error.function_name}() takes {', '.join(error.expected_types)}, not {error.actual_type}"
    return _one_line(error)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
