"""Values as text, one way for all places of a request: path, query, form, multipart form, headers, XML.

A value is written as JSON writes it, without quotes: `true`, an enum's value, `2026-01-02T03:04:05Z`. Numbers are
written out, without an exponent. What has no such form is refused by its place.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, Final

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python


class Arrays(StrEnum):
    """How a query or form carries several values of one name."""

    REPEAT = "repeat"
    """`a=1&a=2`"""
    BRACKETS = "brackets"
    """`a[]=1&a[]=2`"""
    COMMA = "comma"
    """`a=1,2`"""


_MANY: Final = (list, tuple, AbstractSet)


def text_of(value: Any, place: str) -> str:
    """Return the value as text. Raises `ValueError`, naming the `place`, for what has no form as one text."""
    match value:
        case Enum():
            return text_of(value.value, place)
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal() | float():
            return _written_out(value, place)
        case SecretStr():
            return value.get_secret_value()
        case None:
            raise ValueError(f"{place}: there is no value")
        case bytes() | bytearray() | memoryview() | SecretBytes():
            raise ValueError(f"{place}: bytes have no form as text: decode them, or send them as a file or as the body")
    plain = _jsonable(value)
    if isinstance(plain, Mapping | list) or plain is None:
        raise ValueError(f"{place}: {_named(value)} has no form as one text")
    return str(plain) if plain is value else text_of(plain, place)


def _written_out(number: Decimal | float, place: str) -> str:
    if not math.isfinite(number):
        raise ValueError(f"{place}: {number} is no number that others can read")
    text = str(number)
    return format(Decimal(text), "f") if "e" in text.lower() else text


def _jsonable(value: Any) -> Any:
    """Return JSON's form; None where there is none, a list or mapping where it is not one value."""
    if isinstance(value, BaseModel | Mapping):
        return {}
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        return None


def _named(value: Any) -> str:
    kind = "a mapping" if isinstance(value, Mapping | BaseModel) else f"a value of the type {type(value).__name__}"
    return "a list" if isinstance(value, _MANY) else kind


def pairs_of(values: Mapping[str, Any], place: str, arrays: Arrays = Arrays.REPEAT) -> Iterator[tuple[str, str]]:
    """Yield names and texts; None is left out, also within a list. Raises `ValueError` with place and name."""
    for name, value in values.items():
        where = f"{place} {name!r}"
        if not isinstance(value, _MANY):
            yield from [(name, text_of(value, where))] if value is not None else ()
            continue
        texts = [text_of(item, where) for item in _ordered(value) if item is not None]
        match arrays:
            case Arrays.REPEAT:
                yield from ((name, text) for text in texts)
            case Arrays.BRACKETS:
                yield from ((f"{name}[]", text) for text in texts)
            case Arrays.COMMA if texts:
                yield name, ",".join(texts)


def _ordered(values: Iterable[Any]) -> Iterable[Any]:
    """A set has no order; a request that is repeated shall be the same."""
    return sorted(values, key=str) if isinstance(values, AbstractSet) else values


def setting_text(value: Any) -> str:
    """Return a setting of an install as placeholders take it: of a list its values with commas between them."""
    if isinstance(value, Mapping):
        return to_json(value).decode()
    if isinstance(value, _MANY):
        return ",".join(setting_text(item) for item in _ordered(value) if item is not None)
    return text_of(value, "a setting")


def written_out(plain: Any, value: Any) -> Any:
    """Return JSON's form of a model's value, with decimals written out (`100`, not `1E+2`)."""
    match value:
        case Decimal() if isinstance(plain, str) and value.is_finite():
            return format(value, "f") if plain == str(value) else plain
        case BaseModel() if isinstance(plain, dict):
            return plain | {
                name: written_out(plain[name], own) for name, own in by_alias(value).items() if name in plain
            }
        case dict() if isinstance(plain, dict) and value.keys() == plain.keys():
            return {name: written_out(plain[name], own) for name, own in value.items()}
        case list() | tuple() if isinstance(plain, list) and len(plain) == len(value):
            return [written_out(*both) for both in zip(plain, value, strict=True)]
    return plain


def by_alias(data: BaseModel) -> dict[str, Any]:
    """Return a model's values by the names that they are written under."""
    return {alias_of(data, name): value for name, value in data.__dict__.items()}


def alias_of(data: BaseModel, name: str) -> str:
    """Return the name that a model's field is written under."""
    field = type(data).model_fields.get(name)
    return (field.serialization_alias or field.alias or name) if field else name
