"""A delivery of a service, and who may start it."""

from enum import Enum

Delivery = tuple[str, str]
"""Id of the webhook, id that the service gave to its call."""


class Claim(Enum):
    """What came of claiming a delivery."""

    OURS = "ours"
    """Nobody else starts it until we take it, release it or die."""
    OTHERS = "others"
    """Another process starts it at this moment, or died while it did."""
    TAKEN = "taken"
