"""Choosing the store of limits by the settings, and the applications that have limits of their own."""

import time
from collections.abc import Callable

from worker.limits.memory import MemoryReservations
from worker.limits.reservations import Reservations
from worker.limits.unshared import UnsharedReservations
from worker.settings.settings import Settings


def reservations_of(settings: Settings, processes: Callable[[], int | None]) -> Reservations:
    """Return the store in Redis, or the process's own. Nothing is connected yet."""
    guard, recovery = settings.limit_guard, settings.limit_recovery
    if settings.redis_url is None:
        own = MemoryReservations(time.monotonic, guard_seconds=guard, recovery_seconds=recovery)
        return UnsharedReservations(own, processes, settings.limits_without_redis)
    from worker.limits.redis import RedisReservations  # noqa: PLC0415 - a worker without Redis need not hold its client

    return RedisReservations(settings.redis_url.get_secret_value(), guard_seconds=guard, recovery_seconds=recovery)
