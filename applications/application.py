"""An application: what all endpoints of one service share."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from applications.rate import Rate


class Application:
    """One service, as its connectors see it.

    Subclass it once per service and name it in each connector's `application`. A topology's node names it by
    `key`, and limits are counted for that key.
    """

    key: ClassVar[str]
    """Unique and stable; the `application` of the topology's nodes and of limiter keys."""

    base_url: ClassVar[str] = ""
    """What a connector's relative path is appended to."""

    headers: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """HTTP headers that every request to the service carries."""

    limit_per_user: ClassVar[Rate | None] = None
    """How often the service may be called for one user; holds beside what a message's `limiter-key` says."""

    limit_for_all: ClassVar[Rate | None] = None
    """How often it may be called for all users together."""
