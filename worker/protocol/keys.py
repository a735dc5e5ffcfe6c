"""Keys of messages: `header:NAME` or `body:EXPRESSION`, as node settings name them.

The expression is JMESPath (https://jmespath.org) on the JSON of the body.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from connectors.nodes.languages import ExpressionWrong
from connectors.nodes.steps import parse, search
from worker.protocol import headers as h

NO_KEY = ""
"""What a message has that lacks the header or the place in the body. All of those share it.

So has one whose body is nested deeper than 200 levels: the parser's own limit, whatever that of the interpreter is.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """Where the key of a message stands."""

    text: str
    """As the setting spells it."""
    find: Callable[[h.Headers, str], object]

    def of(self, headers: h.Headers, body: str) -> str:
        """Return the key of a message as text, `NO_KEY` when it has none."""
        found = self.find(headers, body)
        if isinstance(found, dict | list):
            return json.dumps(found, sort_keys=True)
        return h.text(found)


def parse_key(text: str) -> Key:
    """Read a setting. Raises `ValueError` that says how a key is written."""
    kind, _, place = text.partition(":")
    place = place.strip()
    if kind == "header" and place:
        return Key(text, lambda headers, _: headers.get(place))
    if kind == "body" and place:
        try:
            return Key(text, _body_finder(parse(place)))
        except ExpressionWrong as error:
            raise ValueError(f"{error}. See https://jmespath.org") from None
    raise ValueError(f"{text!r} names no key; write header:NAME, or body:EXPRESSION with JMESPath: body:order.id")


def _body_finder(expression: Any) -> Callable[[h.Headers, str], object]:
    def find(headers: h.Headers, body: str) -> object:
        try:
            return search(expression, from_json(body, allow_inf_nan=False), headers)
        except Exception:
            return None  # no JSON, or nested too deep; or of a shape that a function does not take, or too much for it

    return find
