"""The clock of the store of installs: the one that all processes go by, as their own may differ."""

import time
from dataclasses import replace
from typing import Final

from applications.token import Token

_EQUAL_SECONDS: Final = 1.0
"""Clocks that differ by less are taken for equal: reading one takes its time."""


class StoreClock:
    """Tells the store's time between two looks at the store. Until the first look it is that of this process."""

    def __init__(self) -> None:
        self._began = time.time() - time.monotonic()

    def set(self, now_ms: int) -> None:
        """Take the time that the store has just told, in milliseconds since the epoch."""
        self._began = now_ms / 1000 - time.monotonic()

    def now(self) -> float:
        """Return the store's time, in seconds since the epoch."""
        return self._began + time.monotonic()

    def told(self, token: Token) -> Token:
        """Return a token with the store's times in the place of this process's."""
        ahead = self.now() - time.time()
        if abs(ahead) < _EQUAL_SECONDS:
            return token
        expires = None if token.expires is None else token.expires + ahead
        return replace(token, obtained=token.obtained + ahead, expires=expires)
