"""Choosing the store of limits by the settings, and the applications that have limits of their own."""

import time
from collections.abc import Callable, Iterable, Mapping

from applications import Application
from connectors.action import ServiceAction
from worker.errors import SettingsError
from worker.limits.memory import MemoryReservations
from worker.limits.reservations import Reservations
from worker.limits.unshared import UnsharedReservations, WithoutRedis
from worker.registry import Registry
from worker.settings import Settings
from worker.topology import Node


def reservations_of(settings: Settings, processes: Callable[[], int | None]) -> Reservations:
    """Return the store in Redis, or the process's own. Nothing is connected yet."""
    guard, recovery = settings.limit_guard, settings.limit_recovery
    if settings.redis_url is None:
        own = MemoryReservations(time.monotonic, guard_seconds=guard, recovery_seconds=recovery)
        return UnsharedReservations(own, processes, settings.limits_without_redis)
    from worker.limits.redis import RedisReservations  # noqa: PLC0415 - a worker without Redis need not hold its client

    return RedisReservations(settings.redis_url.get_secret_value(), guard_seconds=guard, recovery_seconds=recovery)


def check_shared(settings: Settings, applications: Mapping[str, type[Application]]) -> None:
    """Raise `SettingsError` where processes are to keep limits of applications that they do not share."""
    if settings.redis_url is not None or settings.processes == 1:
        return
    if settings.limits_without_redis is WithoutRedis.DIVIDE:
        _check_divided(settings.processes, applications)
        return
    keys = ", ".join(sorted({application.key for application in applications.values() if _has_limit(application)}))
    if keys:
        raise SettingsError(
            f"{settings.processes} processes would each keep the limits of {keys} for themselves. Set "
            "WORKER_REDIS_URL, or WORKER_LIMITS_WITHOUT_REDIS=divide, or WORKER_PROCESSES=1"
        )


def _check_divided(processes: int, applications: Mapping[str, type[Application]]) -> None:
    for application in applications.values():
        for limit in (application.limit, application.group_limit):
            if limit and limit.amount < processes:
                raise SettingsError(
                    f"the limit of {application.key}, {limit.amount} calls per {limit.seconds} s, cannot be divided "
                    f"among {processes} processes. Set WORKER_REDIS_URL, or WORKER_PROCESSES={limit.amount}"
                )


def limited_applications(nodes: Iterable[Node], registry: Registry) -> Mapping[str, type[Application]]:
    """Return the applications that have limits, or whose users may have, by node id."""
    found: dict[str, type[Application]] = {}
    for node in nodes:
        action = registry.get(*node.action) if node.action else None
        application = action.application if isinstance(action, ServiceAction) else None
        if application is not None and (_has_limit(application) or application.needs_install()):
            found[node.id] = application
    return found


def _has_limit(application: type[Application]) -> bool:
    return bool(application.limit or application.group_limit)
