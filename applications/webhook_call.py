"""What an application says of webhooks: the events, and what it reads of a call."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from applications.http.response import Headers


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """A call of a service to us, as it came: what its signature is checked on."""

    method: str
    url: str
    """As the service called it, with the query."""
    headers: Mapping[str, str] = field(repr=False)
    """Names are found in any case; `items()` has them in lower case."""
    body: bytes = field(repr=False)
    received: float
    """Seconds since the epoch."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", Headers(self.headers))


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a service wants to hear before it calls."""

    text: str
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Subscription:
    """An event of a service that can start a topology."""

    name: str
    """What the service calls the event."""
    description: str = ""
    parameters: tuple[str, ...] = ()
    """What has to be said to subscribe, such as the repository."""
