"""How requests to a service say who asks.

Authentication
├── NoAuthentication
├── Basic, ApiKey, Bearer      what the user filled in
├── OAuth1, AwsSignature       each request is signed
└── TokenAuthentication        a token that ends, and is renewed
    ├── OAuth2
    └── TokenExchange
"""

from applications.authentication.base import Authentication, Call, Settings, TokenAuthentication
from applications.authentication.exchange import TokenExchange
from applications.authentication.oauth2 import ClientAuthentication, Grant, OAuth2
from applications.authentication.signed import AwsSignature, OAuth1
from applications.authentication.simple import ApiKey, Basic, Bearer, NoAuthentication

__all__ = [
    "ApiKey",
    "Authentication",
    "AwsSignature",
    "Basic",
    "Bearer",
    "Call",
    "ClientAuthentication",
    "Grant",
    "NoAuthentication",
    "OAuth1",
    "OAuth2",
    "Settings",
    "TokenAuthentication",
    "TokenExchange",
]
