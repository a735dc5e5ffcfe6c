"""Limits: how many calls a service may get, over all workers."""

from worker.limits.gate import Gate, Go, Held, Pause, PlatformGate, ReservingGate
from worker.limits.limit import Limit, limits_of, parse_limits
from worker.limits.measures import LimitMeasures
from worker.limits.memory import MemoryReservations
from worker.limits.reservations import LimitState, Request, Reservations, Turn, Wait
from worker.limits.unshared import UnsharedReservations, WithoutRedis

__all__ = [
    "Gate",
    "Go",
    "Held",
    "Limit",
    "LimitMeasures",
    "LimitState",
    "MemoryReservations",
    "Pause",
    "PlatformGate",
    "Request",
    "Reservations",
    "ReservingGate",
    "Turn",
    "UnsharedReservations",
    "Wait",
    "WithoutRedis",
    "limits_of",
    "parse_limits",
]
