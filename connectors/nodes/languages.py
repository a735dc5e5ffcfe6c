"""The languages of expressions: JMESPath, JSONata and Jinja.

Each is compiled once and evaluated on plain JSON values. None reaches Python objects, attributes or files. How long
they take, and how much memory, is bounded outside: `steps` counts what JMESPath does, `evaluating` is the process in
which everything else runs. The languages' packages are imported when the first expression of theirs is compiled.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

Evaluate = Callable[[Any, Mapping[str, Any]], Any]
"""Takes the data and the headers of a message."""

LONGEST_SECONDS: Final = 2
"""How much CPU time one evaluation may take."""

MOST_BYTES: Final = 1 << 30
"""How much memory evaluations may take."""

TOO_LONG: Final = f"it takes longer than {LONGEST_SECONDS} s"
TOO_LARGE: Final = f"it takes more than {MOST_BYTES >> 20} MiB of memory"

DEEPEST: Final = 200


class ExpressionWrong(ValueError):
    """The expression does not parse; the text names the place in it."""


class ExpressionFailed(Exception):
    """The expression cannot be evaluated on these data."""


def compile_jmespath(text: str) -> Evaluate:
    """Compile JMESPath, for as many steps as it takes. Besides the standard functions there is `header('name')`."""
    from connectors.nodes.steps import parse, search  # noqa: PLC0415 - see above

    parsed = parse(text)
    return lambda data, headers: search(parsed, data, headers, sys.maxsize)


def compile_jsonata(text: str) -> Evaluate:
    """Compile JSONata. `$headers` holds the headers. Stopped after `LONGEST_SECONDS` or `DEEPEST` calls.

    Raises `ExpressionWrong`; what is returned raises `ExpressionFailed`.
    """
    from jsonata.jexception import JException  # type: ignore[import-untyped]  # noqa: PLC0415 - see above
    from jsonata.jsonata import Jsonata  # type: ignore[import-untyped]  # noqa: PLC0415 - see above

    try:
        compiled = Jsonata(text)
    except JException as error:
        raise ExpressionWrong(f"no JSONata at character {error.location + 1}: {one_line(error)}") from None
    except Exception as error:
        raise ExpressionWrong(f"no JSONata: {one_line(error)}") from None

    def evaluate(data: Any, headers: Mapping[str, Any]) -> Any:
        frame = compiled.create_frame()
        frame.bind("headers", dict(headers))
        frame.set_runtime_bounds(LONGEST_SECONDS * 1000, DEEPEST)
        try:
            return compiled.evaluate(data, frame)
        except Exception as error:
            raise ExpressionFailed(one_line(error)) from None

    return evaluate


def compile_template(text: str) -> Evaluate:
    """Compile a Jinja template, which makes text of `data` and `headers`.

    Raises `ExpressionWrong`; what is returned raises `ExpressionFailed`.
    """
    from connectors.nodes.sandbox import environment  # noqa: PLC0415 - see above

    try:
        template = environment().from_string(text)
    except Exception as error:
        place = f" at line {error.lineno}" if hasattr(error, "lineno") else ""
        raise ExpressionWrong(f"no Jinja template{place}: {one_line(error)}") from None

    def evaluate(data: Any, headers: Mapping[str, Any]) -> str:
        try:
            return template.render(data=data, headers=headers)
        except Exception as error:
            raise ExpressionFailed(one_line(error)) from None

    return evaluate


def compile_condition(text: str) -> Evaluate:
    """Compile a Jinja expression, such as `data.total > 100`, which gives a value.

    Raises `ExpressionWrong`; what is returned raises `ExpressionFailed`.
    """
    from connectors.nodes.sandbox import environment  # noqa: PLC0415 - see above

    try:
        compiled = environment().compile_expression(text, undefined_to_none=False)
    except Exception as error:
        raise ExpressionWrong(f"no Jinja expression: {one_line(error)}") from None

    def evaluate(data: Any, headers: Mapping[str, Any]) -> Any:
        try:
            value = compiled(data=data, headers=headers)
            bool(value)  # says so when it is undefined
        except Exception as error:
            raise ExpressionFailed(one_line(error)) from None
        return value

    return evaluate


COMPILERS: Final[Mapping[str, Callable[[str], Evaluate]]] = {
    "jmespath": compile_jmespath,
    "jsonata": compile_jsonata,
    "jinja": compile_condition,
    "template": compile_template,
}
"""How each language is compiled; `jinja` is an expression that gives a value."""


def plain(value: Any) -> Any:
    """Return the value as plain JSON. Raises `ExpressionFailed` for a function or anything else that is none."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(entry) for entry in value]
    raise ExpressionFailed("it gave a function, not a value")


def one_line(error: Exception) -> str:
    """Return the text of an error without line breaks."""
    if isinstance(error, MemoryError | RecursionError):
        return TOO_LARGE if isinstance(error, MemoryError) else "it goes too deep"
    return " ".join(str(error).split()) or type(error).__name__


_NAMES: Final[Mapping[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}


def type_name(value: Any) -> str:
    """Return JSON's name for the type of a value."""
    return _NAMES.get(type(value), type(value).__name__)
