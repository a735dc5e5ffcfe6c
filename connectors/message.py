"""The message as an action sees it."""

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import Enum
from typing import Any, Final, Generic, Self, TypeVar

from applications.http.formats import write_json
from applications.limit import of_service

Data = TypeVar("Data")
Other = TypeVar("Other")


class Unread(Enum):
    """Says that a body has not been read yet."""

    UNREAD = "unread"


UNREAD: Final = Unread.UNREAD

LIMITER_KEY: Final = "limiter-key"

_HOP_DIGITS: Final = 9

current_message: ContextVar["Message[Any] | None"] = ContextVar("current_message", default=None)
"""The message that this task works on. Calls to services read user and hop from it: `self.get(path)` takes none."""


def json_text(data: object) -> str:
    """Return data as JSON. Raises `ValueError` for NaN and infinite numbers, which are no JSON elsewhere."""
    return write_json(data).decode()


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

    @property
    def user(self) -> str:
        """The tenant whose installs are used; empty when the message names none."""
        return _text(self.headers.get("user"))

    @property
    def sdk(self) -> str:
        """The registered name of the service whose installs are used; empty when the message names none."""
        return _text(self.headers.get("sdk"))

    @property
    def hop(self) -> int:
        """Which call of the action this is: 1, and one more after each repeat."""
        value = str(self.headers.get("repeat-hops") or 1)
        return int(value) if value.isdecimal() and len(value) <= _HOP_DIGITS else 1

    def with_data(self, data: Other) -> "Message[Other]":
        """Return the message with another body: `data` (models, dataclasses, plain values) as JSON.

        Raises `ValueError` for what JSON cannot hold, such as NaN.
        """
        return Message(self.headers, json_text(data), data=data)

    def with_body(self, body: str) -> "Message[Any]":
        """Return the message with this text as its body."""
        return Message(self.headers, body)

    def with_headers(self, headers: Mapping[str, Any]) -> Self:
        """Return the message with these headers added; they win over equal names."""
        return type(self)({**self.headers, **headers}, self.body, self._read, self._data)

    def without_headers(self, *names: str) -> Self:
        """Return the message without these headers."""
        kept = {name: value for name, value in self.headers.items() if name not in names}
        return type(self)(kept, self.body, self._read, self._data)

    def with_user(self, user: str) -> Self:
        """Return the message for another user; what follows uses that user's installs."""
        return self.with_headers({"user": user})

    def with_limit(self, application: str, amount: int, seconds: int, *, for_all_users: bool = False) -> Self:
        """Return the message with a limit: at most `amount` calls of `application` in any `seconds`.

        The limit is that of the message's user, or with `for_all_users` one that all users share. A message may
        carry several; one for the same user and application is replaced. Raises `ValueError` for figures below 1.
        """
        if amount < 1 or seconds < 1:
            raise ValueError(f"a limit has amount and seconds above 0, not {amount} and {seconds}")
        key = f"{'' if for_all_users else self.user}|{of_service(application, self.sdk)}"
        parts = str(self.headers.get(LIMITER_KEY) or "").strip(";").split(";")
        groups = {parts[at]: ";".join(parts[at : at + 3]) for at in range(0, len(parts) - 2, 3)}
        groups[key] = f"{key};{seconds};{amount}"
        return self.with_headers({LIMITER_KEY: ";".join(groups.values())})

    def without_limits(self) -> Self:
        """Return the message without its limits."""
        return self.without_headers(LIMITER_KEY, "limiter-key-base")

    def __repr__(self) -> str:
        """Show ids, never the body: representations end up in logs."""
        return f"Message(process-id={self.headers.get('process-id')!r}, body={len(self.body)} characters)"


def _text(value: object) -> str:
    """Return a header's text as the worker compares it: a list has commas between its values."""
    if isinstance(value, list):
        return ",".join("" if part is None else str(part) for part in value)
    return str(value or "")
