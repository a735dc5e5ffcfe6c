"""Hiding secrets in requests and replies, before anybody sees or stores them.

What is secret is told by names: of headers, of query and form parameters, of JSON members. The values found under
them are hidden wherever else they stand, in URLs, texts and replies.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from applications.http.request import Request
from applications.http.response import Response
from applications.redaction import HIDDEN, redact
from connectors.secrets import is_secret_name
from worker.testing.transports import Exchange

SHORTEST = 6
"""A shorter value is hidden only where its name tells: elsewhere it would hide innocent text."""

_SECRET_PARAMETER = re.compile("key|auth|code|sig", re.IGNORECASE)
"""In queries and forms; as members of JSON these are mostly innocent."""
_FORM = "application/x-www-form-urlencoded"


def is_secret_parameter(name: str) -> bool:
    """Whether a parameter of a query or form holds a secret."""
    return is_secret_name(name) or bool(_SECRET_PARAMETER.fullmatch(name))


class Scrubber:
    """Hides secrets; it learns their values from the requests and replies that it is shown."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are hidden as well, whatever they are called."""
        self._values = {value for value in secrets if value}

    def learn(self, message: Request | Response) -> None:
        """Remember the secrets of a request or reply that has been read."""
        found = set(_secrets_of(message))
        self._values |= {value for value in found if len(value) >= SHORTEST}

    def learn_exchange(self, exchange: Exchange) -> None:
        """Remember the secrets of a request, its reply, and the install that was used."""
        self._values |= exchange.secrets
        self.learn(exchange.request)
        if exchange.reply is not None:
            self.learn(exchange.reply)

    @property
    def values(self) -> frozenset[str]:
        """The secrets that are known."""
        return frozenset(self._values)

    def url(self, url: str) -> str:
        """Return the URL without secrets in user, query and path."""
        parts = urlsplit(url)
        query = self._parameters(parts.query)
        netloc = parts.netloc.rpartition("@")[2]
        return self.text(urlunsplit((parts.scheme, netloc, parts.path, query, "")))

    def headers(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the headers without secrets."""
        return [(name, HIDDEN if is_secret_name(name) else self.text(text)) for name, text in headers.items()]

    def text(self, text: str) -> str:
        """Return a text without the secrets that are known."""
        return redact(text, self._values)

    def data(self, data: Any) -> Any:
        """Return JSON data without secrets."""
        match data:
            case dict():
                return {name: self._member(name, value) for name, value in data.items()}
            case list():
                return [self.data(value) for value in data]
            case str():
                return self.text(data)
        return data

    def body(self, message: Request | Response) -> Any:
        """Return the body without secrets: JSON data, text, or `{"base64": ...}` for bytes."""
        content = _content(message)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(content).decode()}
        if message.headers.get("content-type", "").startswith(_FORM):
            return self._parameters(text)
        try:
            return {"json": self.data(json.loads(text))}
        except ValueError:
            return self.text(text)

    def _parameters(self, text: str) -> str:
        pairs = [(name, HIDDEN if is_secret_parameter(name) else self.text(value)) for name, value in _pairs(text)]
        return urlencode(pairs, safe="[]")

    def _member(self, name: str, value: Any) -> Any:
        return HIDDEN if is_secret_name(name) and isinstance(value, str) and value else self.data(value)


def _secrets_of(message: Request | Response) -> Iterator[str]:
    for name, text in message.headers.items():
        if is_secret_name(name):
            yield from _parts(text)
    content = _content(message).decode(errors="replace")
    pairs = _pairs(content) if message.headers.get("content-type", "").startswith(_FORM) else []
    if isinstance(message, Request):
        url = urlsplit(message.url)
        pairs += _pairs(url.query)
        yield from (unquote(part) for part in (url.password, url.username) if part)
    yield from (text for name, text in pairs if is_secret_parameter(name))
    try:
        yield from _members(json.loads(content))
    except ValueError:
        return


def _content(message: Request | Response) -> bytes:
    return message.body if isinstance(message, Request) else message.content


def _parts(text: str) -> Iterator[str]:
    """Yield a header's value, what follows its scheme, its cookies, and user and password of basic authentication."""
    yield text
    scheme, _, rest = text.partition(" ")
    if rest:
        yield rest
    if scheme.lower() == "basic":
        try:
            yield from base64.b64decode(rest).decode().split(":", 1)
        except ValueError:
            return
    for cookie in re.split("[;,]", text):
        if "=" in cookie and not rest.startswith("="):
            yield cookie.partition("=")[2]


def _members(data: Any) -> Iterator[str]:
    match data:
        case dict():
            for name, value in data.items():
                if is_secret_name(name) and isinstance(value, str):
                    yield value
                yield from _members(value)
        case list():
            for value in data:
                yield from _members(value)


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)
