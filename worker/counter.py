"""Where a node reports that it is done with a message: success or not, and how many messages follow."""

from typing import Protocol

from worker import headers as h
from worker.broker import Publication
from worker.broker.objects import COUNTER_EXCHANGE, COUNTER_QUEUE
from worker.visit import Visit

LONGEST_ROUTING_KEY = 255


class Counter(Protocol):
    """Chooses the way of reports."""

    def report(self, visit: Visit, body: bytes) -> Publication:
        """Return the message with this report."""


class PlatformCounter:
    """The platform's counter service."""

    def report(self, visit: Visit, body: bytes) -> Publication:
        """Send to the counter's queue."""
        return Publication("", COUNTER_QUEUE, body, visit.timestamp)


class OpenCounter:
    """Standalone: a topic exchange with the run as routing key. Who wants to follow runs binds a queue."""

    def report(self, visit: Visit, body: bytes) -> Publication:
        """Send to whoever listens; nobody need to."""
        run = visit.header(h.CORRELATION_ID).encode()[:LONGEST_ROUTING_KEY].decode(errors="ignore")
        return Publication(COUNTER_EXCHANGE, run, body, visit.timestamp, mandatory=False)
