"""A synchronous method of an application: what it is asked, and what it may answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from applications.http.client import Client
from applications.http.response import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCall:
    """A request to a synchronous method, as it came."""

    method: str
    """The verb: GET, POST, ..."""
    url: str = field(default="", repr=False)
    """Path and query as they came, with names that come several times; empty where no HTTP brings the call."""
    user: str = ""
    """As whom the service is asked; empty when the request names nobody."""
    sdk: str = ""
    """The registered name of the service, if the request names one."""
    client: Client
    """Asks the application's service as the user. Raises `NotReady` when it is asked and there is none."""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of a name that comes several times the first value."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names are found in any case; `items()` has them in lower case."""
    body: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", Headers(self.headers))

    def json(self) -> Any:
        """Return the body read as JSON. Raises `ValueError`."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class TextReply:
    """What a synchronous method answers that is no JSON. Raises `ValueError` for what is no content type."""

    text: str
    content_type: str = "text/plain"

    def __post_init__(self) -> None:
        """Check what is going to be a header."""
        if not (self.content_type.isascii() and self.content_type.isprintable() and "/" in self.content_type):
            raise ValueError(f"{self.content_type!r} is no content type, such as text/html")
