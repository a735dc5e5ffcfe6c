"""An install: one user's application, with the user's settings and login."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Install:
    """One user's application as it is stored. Times are milliseconds since the epoch, 0 for never."""

    user: str
    application: str
    is_enabled: bool
    plain: Mapping[str, Any]
    """Settings that are no secret and no form holds, such as the tenant that a login found."""
    sealed_settings: Mapping[str, Mapping[str, str]] = field(repr=False)
    """By form and field."""
    sealed_token: str | None = field(repr=False)
    expires: int
    """When the token ends, as far as the service says."""
    problem: str
    """Why the login is dead; empty while it lives."""
    token_fence: int
    """The number of the refresh that brought the token; each later one has a higher number."""
    failures: int
    """Refreshes in a row that found the token endpoint away."""
    retry_at: int
    """No refresh before this."""
    version: int
    """Counts the changes of the settings."""
    created: int
    updated: int

    @property
    def state(self) -> str:
        """`disabled`, `needs reconnect` or `enabled`."""
        if not self.is_enabled:
            return "disabled"
        return "needs reconnect" if self.problem else "enabled"
