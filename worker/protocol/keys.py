"""Keys of messages: `header:NAME` or `body:EXPRESSION`, as node settings name them.

The expression is JMESPath (https://jmespath.org) on the JSON of the body.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic_core import from_json

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
            return Key(text, _body_finder(jmespath.compile(place)))
        except JMESPathError as error:
            raise ValueError(f"no JMESPath: {' '.join(str(error).split())}. See https://jmespath.org") from None
    raise ValueError(f"{text!r} names no key; write header:NAME, or body:EXPRESSION with JMESPath: body:order.id")


def _body_finder(expression: Any) -> Callable[[h.Headers, str], object]:
    def find(_: h.Headers, body: str) -> object:
        try:
            return expression.search(from_json(body, allow_inf_nan=False))
        except Exception:
            return None

    return find
