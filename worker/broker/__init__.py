"""The worker's way to RabbitMQ: connections that come back, deliveries, confirmed publishing, delays."""

from worker.broker.consumer import Delivery, QueueConsumer
from worker.broker.intake import Intake
from worker.broker.link import CONNECTION_ERRORS, Link, Session
from worker.broker.objects import Declarations
from worker.broker.publisher import Outlet, Publication, Publisher

__all__ = [
    "CONNECTION_ERRORS",
    "Declarations",
    "Delivery",
    "Intake",
    "Link",
    "Outlet",
    "Publication",
    "Publisher",
    "QueueConsumer",
    "Session",
]
