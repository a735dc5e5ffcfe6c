"""Who we are to a service: what its endpoints share."""

from applications.access import Access
from applications.application import Application, ApplicationType, CustomAction, sync_method
from applications.authentication import (
    ApiKey,
    Authentication,
    AwsSignature,
    Basic,
    Bearer,
    ClientAuthentication,
    Grant,
    NoAuthentication,
    OAuth1,
    OAuth1Login,
    OAuth2,
    TokenExchange,
)
from applications.errors import ApplicationError, NotReady, SecretsError, SettingsInvalid, TryLater
from applications.forms import Form
from applications.incoming import Handshake, Incoming, Subscription
from applications.limit import Limit
from applications.token import Token, read_token

__all__ = [
    "Access",
    "ApiKey",
    "Application",
    "ApplicationError",
    "ApplicationType",
    "Authentication",
    "AwsSignature",
    "Basic",
    "Bearer",
    "ClientAuthentication",
    "CustomAction",
    "Form",
    "Grant",
    "Handshake",
    "Incoming",
    "Limit",
    "NoAuthentication",
    "NotReady",
    "OAuth1",
    "OAuth1Login",
    "OAuth2",
    "SecretsError",
    "SettingsInvalid",
    "Subscription",
    "Token",
    "TokenExchange",
    "TryLater",
    "read_token",
    "sync_method",
]
