"""The time as stores keep it."""

import time
from datetime import timedelta


def now_ms() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def milliseconds(span: timedelta) -> int:
    """Return the milliseconds in a span."""
    return span // timedelta(milliseconds=1)
