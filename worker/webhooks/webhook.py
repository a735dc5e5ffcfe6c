"""A webhook: whose it is, where it starts, how it is addressed; and who may start a call of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Webhook:
    """A call of a service that starts a topology at a node. Its token and secret are sealed."""

    id: str
    user: str
    application: str
    name: str
    topology: str
    node: str
    parameters: str
    """What it was subscribed with, as JSON."""
    sealed_token: str = field(repr=False)
    remote_id: str
    """What the service calls it; empty until it has answered."""
    is_unsubscribe_failed: bool
    created: int
    sdk: str = ""
    """The registered service whose install it belongs to."""


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """What of a webhook nobody may see."""

    token: str = field(repr=False)
    """The last part of its address."""
    secret: str = field(repr=False)
    """What the service signs with, where it takes a secret of ours."""


DeliveryId = tuple[str, str]
"""Id of the webhook, id that the service gave to its call."""


class DeliveryClaim(Enum):
    """What came of claiming a delivery."""

    OURS = "ours"
    """Nobody else starts it until we take it, release it or die."""
    OTHERS = "others"
    """Another process starts it at this moment, or died while it did."""
    TAKEN = "taken"


def as_text(parameters: Mapping[str, str]) -> str:
    """Return parameters so that the same ones are the same text."""
    return json.dumps(dict(parameters), sort_keys=True)


def path_of(webhook: Webhook, token: str) -> str:
    """Return the path that the service calls."""
    topology, node = quote(webhook.topology, safe=""), quote(webhook.node, safe="")
    return f"/webhook/topologies/{topology}/nodes/{node}/token/{token}"
