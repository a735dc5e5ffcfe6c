"""The time as stores keep it."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta


def now_ms() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


clock_of_headers: ContextVar[Callable[[], int]] = ContextVar("clock_of_headers", default=now_ms)
"""Tells the time as the headers of the message in work do; in tests it jumps."""


def milliseconds(span: timedelta) -> int:
    """Return the milliseconds in a span."""
    return span // timedelta(milliseconds=1)
