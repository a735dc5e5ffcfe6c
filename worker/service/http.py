"""A request and its reply, whatever server brings it: aiohttp, or the ASGI server of somebody's application."""

import html
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl, quote, unquote

from worker.service.errors import Refused, UnreadablePath

JSON: Final = "application/json; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
TEXT: Final = "text/plain"
DEEPEST: Final = 200
"""Levels of objects and arrays in the body of a request: as many as a message may have, whatever brings it."""
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SHOWN: Final = "!#$%&'()*+,-./:;=?@[\\]^_|~"
"""What a page shows of a path as it came."""
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks."""

    method: str
    path: str
    """As it came: percent signs are not decoded."""
    query: str
    headers: Mapping[str, str]
    """By name in lower case."""
    read: Callable[[], Awaitable[bytes]]
    """Reads the body; it raises what the server answers to one that is too large or too slow."""
    address: str
    """The IP address of who asks; empty where it has been checked before."""
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Path and query as they came."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def parameters(self) -> Mapping[str, str]:
        """The query; what is named twice is joined by commas, as the platform's SDK does."""
        found: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            found[name] = f"{found[name]},{value}" if name in found else value
        return found

    @property
    def first_parameters(self) -> dict[str, str]:
        """The query; of what is named twice the first one."""
        found: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            found.setdefault(name, value)
        return found

    async def json(self) -> Any:
        """Read the body as JSON. Raises `Refused` for what is none."""
        return read_json(await self.read())


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=lambda: _NONE)


def json_reply(data: object, status: int = 200) -> Reply:
    """Return a reply of JSON; half of a surrogate pair is written as its escape."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Reply(status, text.encode(errors="backslashreplace"))


def methods_reply(methods: str) -> Reply:
    """Return what `OPTIONS` is answered for a path with these methods."""
    return Reply(200, methods.encode(), TEXT, {"Allow": methods, "X-Content-Type-Options": "nosniff"})


def error_reply(text: str, status: int = 400, detail: str = "") -> Reply:
    """Return an error in the platform's shape; `detail` is for debugging."""
    message = f"Error occurred: {text}" + (f", Stack: {json.dumps(detail)}" if detail else "")
    return json_reply({"status": "Error", "message": message}, status)


def no_such_route(request: Request) -> Reply:
    """Return the page of the platform's SDK for a path or method that nobody answers."""
    path = quote(_STRAY_PERCENT.sub("%25", request.path), safe=_SHOWN, errors="surrogateescape")
    asked = html.escape(f"Cannot {request.method} {path}", quote=False).replace("'", "&#39;")
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n<body>\n'
        f"<pre>{asked}</pre>\n</body>\n</html>\n"
    )
    headers = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}
    return Reply(404, page.encode(errors="backslashreplace"), HTML, headers)


def read_json(body: bytes) -> Any:
    """Read JSON. Raises `Refused` that says where it ends to be JSON."""
    if not body.strip():
        raise Refused("Unexpected end of JSON input: the body is empty")
    try:
        found = json.loads(body.decode(), parse_constant=_refuse, parse_float=_finite)
        _check_depth(found, DEEPEST)
    except RecursionError:
        raise Refused("the body is not JSON: it is nested too deeply") from None
    except ValueError as error:
        raise Refused(f"the body is not JSON: {error}") from None
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}")


def _finite(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _refuse(text[:20])


def _check_depth(value: object, levels: int) -> None:
    """Raise `RecursionError` for what is nested deeper: it could be read here, and neither worked with nor answered."""
    if isinstance(value, dict | list):
        if not levels:
            raise RecursionError
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, levels - 1)


def decoded(segment: str) -> str:
    """Return a part of a path without percent signs. Raises `UnreadablePath` for one that means no text."""
    is_encoded = not _STRAY_PERCENT.search(segment)
    try:
        text = unquote(segment, errors="strict")
    except ValueError:
        is_encoded = False
    if not is_encoded or "\0" in text:
        raise UnreadablePath(segment)
    return text
