"""Where limits are kept: in Redis, or in the process."""

import time
from collections.abc import Callable

from worker.limits.memory import MemoryReservations
from worker.limits.reservations import Reservations
from worker.limits.unshared import UnsharedReservations


def open_shared(redis_url: str, *, guard_seconds: float, recovery_seconds: float) -> Reservations:
    """Return the store in Redis, which all workers share; it connects when it is first used."""
    from worker.limits.redis import RedisReservations  # noqa: PLC0415 - a worker without Redis need not hold its client

    return RedisReservations(redis_url, guard_seconds=guard_seconds, recovery_seconds=recovery_seconds)


def open_unshared(
    processes: Callable[[], int | None], *, are_divided: bool, guard_seconds: float, recovery_seconds: float
) -> Reservations:
    """Return the process's own store; see `UnsharedReservations`."""
    own = MemoryReservations(time.monotonic, guard_seconds=guard_seconds, recovery_seconds=recovery_seconds)
    return UnsharedReservations(own, processes, are_divided=are_divided)
