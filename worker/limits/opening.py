"""Choosing the store of limits."""

import time

from worker.limits.memory import MemoryReservations
from worker.limits.redis import RedisReservations
from worker.limits.reservations import Reservations


def open_reservations(redis_url: str | None, *, guard_seconds: float, recovery_seconds: float) -> Reservations:
    """Return the store in Redis, or the process's own. Nothing is connected yet."""
    if redis_url is None:
        return MemoryReservations(time.monotonic, guard_seconds=guard_seconds, recovery_seconds=recovery_seconds)
    return RedisReservations(redis_url, guard_seconds=guard_seconds, recovery_seconds=recovery_seconds)
