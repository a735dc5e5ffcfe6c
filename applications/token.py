"""A token: what a login brought."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Token:
    """An access token with what belongs to it."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    obtained: float = 0
    """When the service gave it, in seconds since the epoch."""
    expires: float | None = None
    """When it ends, in seconds since the epoch. None when the service does not say: it is used until it is refused."""
    others: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What else the reply held, as JSON has it."""

    def to_json(self) -> bytes:
        """Return all of it, for the store."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Token":
        """Read what `to_json` returned. Raises `ValueError` or `TypeError` for anything else."""
        return cls(**json.loads(text))

    def after(self, before: "Token | None") -> "Token":
        """Return this token with what the one before has and this has not brought: the refresh token, and others.

        What is left out has not changed (RFC 6749, 5.1 and 6), except for when something ends.
        """
        if before is None:
            return self
        kept = {name: value for name, value in before.others.items() if "expire" not in name}
        return replace(self, refresh_token=self.refresh_token or before.refresh_token, others={**kept, **self.others})

    @property
    def secrets(self) -> set[str]:
        """What must not be shown, of `others` what is named as a secret or as a token."""
        named = [value for name, value in self.others.items() if name.endswith(("secret", "_token"))]
        return {str(value) for value in (self.access_token, self.refresh_token, *named) if value}

    def is_expired(self, now: float) -> bool:
        """Whether its time is up; `now` is in seconds since the epoch."""
        return self.expires is not None and now >= self.expires


def read_token(reply: Mapping[str, Any], now: float) -> Token:
    """Read the reply of a token endpoint (RFC 6749, 5.1); `now` is in seconds since the epoch.

    Raises `ValueError` without a usable `access_token`.

    A life time that is missing, unreadable or in the past counts as unknown: refreshing at once would bring the same.
    """
    access = reply.get("access_token")
    if not isinstance(access, str) or not access:
        raise ValueError("the reply has no access_token")
    refresh = reply.get("refresh_token")
    others = {name: value for name, value in reply.items() if name not in {"access_token", "refresh_token"}}
    life = _seconds(reply.get("expires_in"))
    return Token(
        access, refresh if isinstance(refresh, str) and refresh else None, now, now + life if life else None, others
    )


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < 10 * 366 * 86400 else None
