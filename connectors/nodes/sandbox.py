"""Jinja in a sandbox: plain values only, no attribute of Python, no file, no endless text."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Undefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST_RANGE = 10_000
LONGEST_TEXT = 1_000_000
_PLAIN_METHODS = frozenset(
    {*("lower", "upper", "title", "capitalize", "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines")}
    | {*("startswith", "endswith", "replace", "find", "isdigit", "removeprefix", "removesuffix", "partition")}
    | {*("items", "keys", "values", "get", "join", "count", "index")}
)
"""What text, lists and objects may be asked for; `format` and those that make text of any length are not."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates see JSON values; `data.items` means the entry of an object, not Python's method."""

    intercepted_binops = frozenset({"*", "**"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Prefer the entry of an object."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow a few methods of plain values, and what Jinja's own objects (`loop`) offer."""
        if isinstance(obj, str | list | dict | int | float | bool | None):
            return attr in _PLAIN_METHODS and super().is_safe_attribute(obj, attr, value)
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return the result. Raises `SecurityError` for powers and for products of other things than numbers.

        They take the memory of the machine.
        """
        if operator == "**" or not (_is_number(left) and _is_number(right)):
            raise SecurityError(f"{operator} of {type(left).__name__} and {type(right).__name__} is not allowed")
        return super().call_binop(context, operator, left, right)


@cache
def environment() -> Sandbox:
    """Return the one environment of all templates."""
    made = Sandbox(undefined=StrictUndefined, autoescape=False, finalize=_shown)
    made.globals = {"range": _range}
    for name in ("attr", "center", "format", "indent", "map", "pprint", "random", "wordwrap", "xmlattr", "urlize"):
        made.filters.pop(name, None)
    return made


def _shown(value: Any) -> Any:
    """Write JSON's words for null and truth, not Python's."""
    if isinstance(value, Undefined):
        return value
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else value


def _range(*limits: int) -> range:
    made = range(*limits)
    if len(made) > LONGEST_RANGE:
        raise SecurityError(f"range is longer than {LONGEST_RANGE}")
    return made


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 10**300
