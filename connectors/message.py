"""The message as an action sees it."""

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Generic, Self, TypeVar

from pydantic_core import to_json

Data = TypeVar("Data")
Other = TypeVar("Other")


class Unread(Enum):
    """Says that a body has not been read yet."""

    UNREAD = "unread"


UNREAD: Final = Unread.UNREAD


class Message(Generic[Data]):
    """One process message: text headers, an opaque text body, and the body's data.

    `headers` are the platform's (`correlation-id`, `user`, ...), by name; an action may add its own, which travel
    on. `body` is text, mostly JSON. `data` is the body read as the action's input type, or as plain JSON when the
    action names none. A message is never changed: `with_data`, `with_body` and `with_headers` give a new one.
    """

    __slots__ = ("_data", "_read", "body", "headers")

    def __init__(
        self,
        headers: Mapping[str, Any],
        body: str,
        read: Callable[[str], Data] = json.loads,
        data: Data | Unread = UNREAD,
    ) -> None:
        """Wrap `body`. `read` turns it into `data` when somebody asks, unless `data` is given along."""
        self.headers: Mapping[str, Any] = headers
        self.body = body
        self._read = read
        self._data = data

    @property
    def data(self) -> Data:
        """The body, read once. Raises `ValueError` (pydantic's, with the place) when it does not fit."""
        if self._data is UNREAD:
            self._data = self._read(self.body)
        return self._data

    def with_data(self, data: Other) -> "Message[Other]":
        """Return the message with another body: `data` (models, dataclasses, plain values) as JSON."""
        return Message(self.headers, to_json(data).decode(), data=data)

    def with_body(self, body: str) -> "Message[Any]":
        """Return the message with this text as its body."""
        return Message(self.headers, body)

    def with_headers(self, headers: Mapping[str, Any]) -> Self:
        """Return the message with these headers added; they win over equal names."""
        return type(self)({**self.headers, **headers}, self.body, self._read, self._data)

    def __repr__(self) -> str:
        """Show ids, never the body: representations end up in logs."""
        return f"Message(process-id={self.headers.get('process-id')!r}, body={len(self.body)} characters)"
