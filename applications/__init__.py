"""Who we are to a service: what its endpoints share."""

from applications.access import Access
from applications.accounts import Accounts
from applications.application import Application, ApplicationType, CustomAction, Limit, sync_method
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
    OAuth2,
    TokenExchange,
)
from applications.crypt import Keyring
from applications.errors import ApplicationError, NotReady, SecretsError, SettingsInvalid, TryLater
from applications.forms import Form
from applications.token import Token, read_token

__all__ = [
    "Access",
    "Accounts",
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
    "Keyring",
    "Limit",
    "NoAuthentication",
    "NotReady",
    "OAuth1",
    "OAuth2",
    "SecretsError",
    "SettingsInvalid",
    "Token",
    "TokenExchange",
    "TryLater",
    "read_token",
    "sync_method",
]
