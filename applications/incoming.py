"""A call of a service to us, as it came: what signatures are checked on."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Incoming:
    """A webhook call. Names of headers are in lower case."""

    method: str
    url: str
    """As the service called it, with the query."""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a service wants to hear before it calls."""

    text: str
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Subscription:
    """An event of a service that can start a topology."""

    name: str
    description: str = ""
    parameters: tuple[str, ...] = ()
    """What has to be said to subscribe, such as the repository."""
