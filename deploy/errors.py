"""What goes wrong with a broker of ours.

BrokerError
├── BrokerUnavailable   no broker could be had; the message says what to do about it
└── BrokerNotOurs       the broker was given by URL, stopping and starting it is not up to us
"""

__all__ = ["BrokerError", "BrokerNotOurs", "BrokerUnavailable"]


class BrokerError(Exception):
    """The root of what `deploy.broker` raises."""


class BrokerUnavailable(BrokerError):
    """No broker could be had; the message says what to do about it."""


class BrokerNotOurs(BrokerError):
    """The broker was given by URL: we may neither stop nor start it."""
