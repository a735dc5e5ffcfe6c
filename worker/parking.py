"""Where a message waits: for a repeat, or for its turn at a limit."""

from typing import Protocol

from worker.broker import Publication
from worker.broker.delays import delayed
from worker.broker.objects import LIMITER_QUEUE, REPEATER_QUEUE
from worker.topology import Node


class Parking(Protocol):
    """Chooses the way of a message that comes back to its node later."""

    def repeat(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back after this time."""

    def limit(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back when its limit allows."""


class BrokerParking:
    """Standalone: the delay tiers of the broker."""

    def repeat(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back after this time. Raises `ValueError` when that is longer than the tiers go."""
        return delayed(node, body, seconds, timestamp)

    def limit(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Bring the message back after this time, not behind what waits in the node's queue."""
        return delayed(node, body, seconds, timestamp, is_limited=True)


class PlatformParking:
    """The platform's repeater and limiter, which call `POST /api/process` when the time has come."""

    def repeat(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Hand over to the repeater; it reads the time from the headers."""
        return Publication("", REPEATER_QUEUE, body, timestamp)

    def limit(self, node: Node, body: bytes, seconds: float, timestamp: int) -> Publication:
        """Hand over to the limiter; it decides the time."""
        return Publication("", LIMITER_QUEUE, body, timestamp)
