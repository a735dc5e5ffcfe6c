"""An expression of a node's configuration: one of the languages, compiled when the worker starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import PrivateAttr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from connectors.configured import Configuration
from connectors.message import Message
from connectors.nodes import languages
from connectors.nodes.languages import Evaluate, ExpressionFailed, ExpressionWrong
from connectors.outcome import Trash

LONGEST_SHOWN = 200
_NAMES: Mapping[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    language: str
    text: str
    evaluate: Evaluate

    def of(self, message: Message[Any]) -> Any:
        """Return the value for a message, a plain JSON value.

        Raises `Trash` with the expression and the type of what it was evaluated on.
        """
        data = _data(message)
        try:
            return plain(self.evaluate(data, message.headers))
        except ExpressionFailed as error:
            raise Trash(f"{self} failed on {type_name(data)}: {error}") from error

    def refuse(self, value: Any, wanted: str) -> Trash:
        """Return the error for a value that the node can do nothing with."""
        return Trash(f"{self} gave {type_name(value)}, not {wanted}")

    def __str__(self) -> str:
        """Show language and text."""
        shown = self.text if len(self.text) <= LONGEST_SHOWN else f"{self.text[:LONGEST_SHOWN]}…"
        return f"the {self.language} expression {shown!r}"


class Languages(Configuration):
    """An expression in one of the languages: `{"jmespath": "total > `100`"}`."""

    jmespath: str | None = None
    jsonata: str | None = None
    jinja: str | None = None
    _expression: Expression = PrivateAttr()

    @property
    def expression(self) -> Expression:
        """The compiled expression."""
        return self._expression

    @model_validator(mode="after")
    def _compile(self) -> Self:
        given = [name for name in ("jmespath", "jsonata", "jinja") if getattr(self, name) is not None]
        if len(given) != 1:
            raise PydanticCustomError("one_language", "Give one expression: jmespath, jsonata or jinja")
        language, text = given[0], getattr(self, given[0])
        self._expression = Expression(language, text, self._compilers()[language](text))
        return self

    @field_validator("jmespath", "jsonata", "jinja")
    @classmethod
    def _parse(cls, text: str | None, info: ValidationInfo) -> str | None:
        """Say at the field what does not parse."""
        try:
            if text is not None:
                cls._compilers()[str(info.field_name)](text)
        except ExpressionWrong as error:
            raise PydanticCustomError("expression", "{error}", {"error": f"{error} (in {text!r})"}) from None
        return text

    @classmethod
    def _compilers(cls) -> Mapping[str, Callable[[str], Evaluate]]:
        """How each language is compiled: here `jinja` is an expression that gives a value."""
        return {
            "jmespath": languages.compile_jmespath,
            "jsonata": languages.compile_jsonata,
            "jinja": languages.compile_condition,
        }


class Templates(Languages):
    """As `Languages`, but `jinja` is a template that makes text."""

    @classmethod
    def _compilers(cls) -> Mapping[str, Callable[[str], Evaluate]]:
        return {**super()._compilers(), "jinja": languages.compile_template}


def type_name(value: Any) -> str:
    """Return JSON's name for the type of a value."""
    return _NAMES.get(type(value), type(value).__name__)


def plain(value: Any) -> Any:
    """Return the value as plain JSON. Raises `ExpressionFailed` for a function or anything else that is none."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(entry) for entry in value]
    raise ExpressionFailed("it gave a function, not a value")


def _data(message: Message[Any]) -> Any:
    try:
        return message.data
    except ValueError as error:
        raise Trash(f"the body is no JSON: {error}") from error
