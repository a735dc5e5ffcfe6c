"""How requests to a service say who asks.

Authentication
├── NoAuthentication
├── Basic, ApiKey, Bearer      what the user filled in
├── OAuth1, AwsSignature       each request is signed with what the user filled in
└── TokenAuthentication        a token that ends, and is renewed
    ├── TokenExchange
    └── LoginAuthentication    the first one comes from a person's login
        ├── OAuth2
        └── OAuth1Login
"""

from applications.authentication.aws import AwsSignature
from applications.authentication.base import (
    Authentication,
    LoginAuthentication,
    LoginStarted,
    Settings,
    TokenAuthentication,
    TokenCall,
)
from applications.authentication.exchange import TokenExchange
from applications.authentication.oauth1 import OAuth1, OAuth1Login
from applications.authentication.oauth2 import ClientAuthentication, Grant, OAuth2
from applications.authentication.simple import ApiKey, Basic, Bearer, NoAuthentication

__all__ = [
    "ApiKey",
    "Authentication",
    "AwsSignature",
    "Basic",
    "Bearer",
    "ClientAuthentication",
    "Grant",
    "LoginAuthentication",
    "LoginStarted",
    "NoAuthentication",
    "OAuth1",
    "OAuth1Login",
    "OAuth2",
    "Settings",
    "TokenAuthentication",
    "TokenCall",
    "TokenExchange",
]
