"""Who we are to a service: what its endpoints share. Declare an application with these names.

What few applications need is imported from its module: `applications.signatures`, `applications.errors`,
`applications.forms`, `applications.http.request` and `applications.authentication` for a way of signing in of your own.
"""

from typing import TYPE_CHECKING

from applications.lazy import lazily

if TYPE_CHECKING:
    from applications.application import Application, ApplicationType, sync_method
    from applications.authentication import (
        ApiKey,
        AwsSignature,
        Basic,
        Bearer,
        ClientAuthentication,
        Grant,
        OAuth1,
        OAuth1Login,
        OAuth2,
        TokenExchange,
    )
    from applications.errors import ServiceRefused
    from applications.forms import Form
    from applications.http.client import Client
    from applications.limit import Limit
    from applications.signatures import HmacSignature
    from applications.sync_call import SyncCall, TextReply
    from applications.token import Token, read_token
    from applications.webhook_call import Handshake, Subscription, WebhookCall

__all__ = [
    "ApiKey",
    "Application",
    "ApplicationType",
    "AwsSignature",
    "Basic",
    "Bearer",
    "Client",
    "ClientAuthentication",
    "Form",
    "Grant",
    "Handshake",
    "HmacSignature",
    "Limit",
    "OAuth1",
    "OAuth1Login",
    "OAuth2",
    "ServiceRefused",
    "Subscription",
    "SyncCall",
    "TextReply",
    "Token",
    "TokenExchange",
    "WebhookCall",
    "read_token",
    "sync_method",
]

if not TYPE_CHECKING:  # else any name would pass the type checker
    __getattr__ = lazily(
        __name__,
        {
            "applications.application": ("Application", "ApplicationType", "sync_method"),
            "applications.authentication": (
                "ApiKey",
                "AwsSignature",
                "Basic",
                "Bearer",
                "ClientAuthentication",
                "Grant",
                "OAuth1",
                "OAuth1Login",
                "OAuth2",
                "TokenExchange",
            ),
            "applications.errors": ("ServiceRefused",),
            "applications.forms": ("Form",),
            "applications.http.client": ("Client",),
            "applications.limit": ("Limit",),
            "applications.signatures": ("HmacSignature",),
            "applications.sync_call": ("SyncCall", "TextReply"),
            "applications.token": ("Token", "read_token"),
            "applications.webhook_call": ("Handshake", "Subscription", "WebhookCall"),
        },
    )


def __dir__() -> list[str]:
    return sorted(__all__)
