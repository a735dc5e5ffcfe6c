"""Paths with places for values: `/repos/{owner}/{repo}`.

A value never leaves its place: `/` and everything else that has a meaning in a URL is escaped, and what would still
lead elsewhere (`..`, nothing at all) is refused. `{+name}` takes a path of several segments.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import quote

from pydantic import BaseModel

from applications.http.values import alias_of, text_of, written_out

_PLACE: Final = re.compile(r"\{(\+?)(\w+)\}")


def values_of(data: Any) -> Mapping[str, Any]:
    """Return the fields of a model, a mapping or a dataclass by name, as JSON has them; none of None.

    Raises `TypeError` for anything else.
    """
    if data is None:
        return {}
    if isinstance(data, BaseModel):
        return cast("Mapping[str, Any]", written_out(data.model_dump(mode="json", by_alias=True), data))
    if isinstance(data, Mapping):
        return data
    if hasattr(data, "__dataclass_fields__"):
        return {name: getattr(data, name) for name in data.__dataclass_fields__}
    raise TypeError(f"values for a path are a model or a mapping, not {type(data).__name__}")


def given_values(data: Any) -> Mapping[str, Any]:
    """As `values_of`, without a model's fields that are None because nobody has set them."""
    values = values_of(data)
    if not isinstance(data, BaseModel):
        return values
    given = {alias_of(data, name) for name in data.model_fields_set}
    return {name: value for name, value in values.items() if value is not None or name in given}


def fill_path(template: str, values: Mapping[str, Any]) -> str:
    """Return the path with its places filled. Raises `ValueError` naming the place whose value is missing or unfit."""

    def fill(place: re.Match[str]) -> str:
        is_path, name = place[1] == "+", place[2]
        value = values.get(name)
        if value is None:
            raise ValueError(f"path {template}: no value for {{{name}}}")
        text = text_of(value, f"path {template}: {{{name}}}")
        segments = text.split("/") if is_path else [text]
        return "/".join(_segment(template, name, segment) for segment in segments)

    return _PLACE.sub(fill, template)


@lru_cache(maxsize=1024)
def places_of(template: str) -> frozenset[str]:
    """Return the names of the template's places."""
    return frozenset(place[2] for place in _PLACE.finditer(template))


def fill_query(query: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the query with `{name}` replaced by the value; a parameter whose value is missing or None is left out."""
    filled: dict[str, Any] = {}
    for name, given in query.items():
        value = _query_value(given, values)
        if value is not None:
            filled[name] = value
    return filled


def _query_value(given: Any, values: Mapping[str, Any]) -> Any:
    if not isinstance(given, str) or not (names := places_of(given)):
        return given
    if any(values.get(name) is None for name in names):
        return None
    where = f"query {given!r}"
    if (whole := _PLACE.fullmatch(given)) is not None:
        value = values[whole[2]]
        is_many = isinstance(value, list | tuple)
        return [text_of(part, where) for part in value if part is not None] if is_many else text_of(value, where)
    return _PLACE.sub(lambda place: text_of(values[place[2]], where), given)


def _segment(template: str, name: str, text: str) -> str:
    if text in {"", ".", ".."}:
        raise ValueError(f"path {template}: {text!r} cannot stand for {{{name}}}, it would lead elsewhere")
    return quote(text, safe="")
