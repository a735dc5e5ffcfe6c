"""An expression of a node's configuration: one of the languages, compiled when the worker starts.

JMESPath is evaluated here, in counted steps. What takes more of them, and all other languages, are evaluated in a
process of their own, where they can be stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self

from jmespath.parser import ParsedResult
from pydantic import PrivateAttr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from connectors.configured import Configuration
from connectors.message import Message
from connectors.nodes.evaluator import NoJson, evaluator
from connectors.nodes.languages import ExpressionFailed, ExpressionWrong, plain, type_name
from connectors.nodes.steps import TooManySteps, parse, search
from connectors.outcome import Repeat, Trash

LONGEST_SHOWN: Final = 200
SMALL: Final = 256 << 10
"""Characters of a body on which JMESPath is evaluated here; reading a larger one holds up all other messages."""
_AGAIN_AFTER: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    language: str
    text: str
    kind: str
    """How it is compiled: its language, or `template`."""
    jmespath: ParsedResult | None = None

    async def of(self, message: Message[Any]) -> Any:
        """Return the value for a message, a plain JSON value.

        Raises `Trash` with the expression and the type of what it was evaluated on, and `Repeat` where the process that
        evaluates cannot be reached.
        """
        try:
            if self.jmespath is not None and len(message.body) <= SMALL:
                try:
                    return self._here(self.jmespath, message)
                except TooManySteps:
                    pass
            return await evaluator().evaluate(self.kind, self.text, message.body, message.headers)
        except ExpressionFailed as error:
            raise Trash(f"{self} failed {error}") from error
        except NoJson as error:
            raise Trash(f"the body is not JSON: {error}") from error
        except OSError as error:
            raise Repeat(_AGAIN_AFTER, f"expressions cannot be evaluated: {error}") from error

    def _here(self, jmespath: ParsedResult, message: Message[Any]) -> Any:
        data = _data(message)
        try:
            return plain(search(jmespath, data, message.headers))
        except TooManySteps:
            raise
        except ExpressionFailed as error:
            raise ExpressionFailed(f"on {type_name(data)}: {error}") from None

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
        self._expression = Expression(language, text, *self._compiled(language, text))
        return self

    @field_validator("jmespath", "jsonata", "jinja")
    @classmethod
    def _parse(cls, text: str | None, info: ValidationInfo) -> str | None:
        """Say at the field what does not parse."""
        try:
            if text is not None:
                cls._compiled(str(info.field_name), text)
        except ExpressionWrong as error:
            raise PydanticCustomError("expression", "{error}", {"error": f"{error} (in {text!r})"}) from None
        return text

    @classmethod
    def _compiled(cls, language: str, text: str) -> tuple[str, ParsedResult | None]:
        """Return how the expression is compiled, and JMESPath compiled. Raises `ExpressionWrong`."""
        if language == "jmespath":
            return language, parse(text)
        kind = cls._kinds().get(language, language)
        evaluator().check(kind, text)
        return kind, None

    @classmethod
    def _kinds(cls) -> Mapping[str, str]:
        """How languages are compiled: here `jinja` is an expression that gives a value."""
        return {}


class Templates(Languages):
    """As `Languages`, but `jinja` is a template that makes text."""

    @classmethod
    def _kinds(cls) -> Mapping[str, str]:
        return {"jinja": "template"}


def _data(message: Message[Any]) -> Any:
    try:
        return message.data
    except RecursionError as error:
        raise Trash("the body cannot be read as JSON: it is nested too deep") from error
    except ValueError as error:
        raise Trash(f"the body is not JSON: {error}") from error
