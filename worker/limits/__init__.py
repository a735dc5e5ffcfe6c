"""Limits: how many calls a service may get, over all workers."""

from worker.limits.gate import Gate, Go, Held, Pause, PlatformGate, ReservingGate
from worker.limits.limit import LIMITED_ROLES, Limit, limits_of, parse_limits
from worker.limits.memory import MemoryReservations
from worker.limits.opening import open_reservations
from worker.limits.redis import RedisReservations
from worker.limits.reservations import LimitState, Request, Reservations, Turn, Wait

__all__ = [
    "LIMITED_ROLES",
    "Gate",
    "Go",
    "Held",
    "Limit",
    "LimitState",
    "MemoryReservations",
    "Pause",
    "PlatformGate",
    "RedisReservations",
    "Request",
    "Reservations",
    "ReservingGate",
    "Turn",
    "Wait",
    "limits_of",
    "open_reservations",
    "parse_limits",
]
