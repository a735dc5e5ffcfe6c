"""A service that calls us, signed as GitHub's, and the node where its calls start."""

from typing import Any

from pydantic import SecretStr

from applications import ApiKey, Application, Form, Subscription
from applications.signatures import GITHUB
from connectors import CustomNode, Message


class Login(Form):
    """What an install needs."""

    token: SecretStr


class Caller(Application):
    """The service."""

    key = "bench-caller"
    base_url = "http://127.0.0.1"
    authentication = ApiKey(header="X-Key")
    forms = (Login,)
    webhooks = (Subscription("order"),)
    signature = GITHUB
    delivery_header = "x-github-delivery"


class Called(CustomNode[Any, Any]):
    """Passes the call on as it is."""

    name = "called"
    application = Caller

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message."""
        return message
