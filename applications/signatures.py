"""Signatures of webhooks: checked on the raw bytes, in constant time, within a time window where the service signs one.

| value | service | source |
|---|---|---|
| `GITHUB` | GitHub | https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries |
| `SHOPIFY` | Shopify | https://shopify.dev/docs/apps/build/webhooks/subscribe/https |
| `STRIPE` | Stripe | https://docs.stripe.com/webhooks/signature |
| `SLACK` | Slack | https://api.slack.com/authentication/verifying-requests-from-slack |
| `HUBSPOT` | HubSpot, version 3 | https://developers.hubspot.com/docs/api/webhooks/validating-requests |
| `ZENDESK` | Zendesk | https://developer.zendesk.com/documentation/webhooks/verifying/ |
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from applications.errors import ApplicationError
from applications.webhook_call import WebhookCall

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

WINDOW_SECONDS: Final = 300
"""How far a time stamp may lie from the moment of the call, either way."""


class Forged(ApplicationError):
    """The call is not the service's, or it is an old one that is sent again."""


class KeyUnusable(ApplicationError):
    """What the user has filled in is no key of this kind, so that no call can be checked."""


class Signature(Protocol):
    """A way to sign calls."""

    def check(self, call: WebhookCall, secret: str) -> None:
        """Raise `Forged` with what is wrong, never with what would be right; `KeyUnusable` when that cannot be told."""


Encode = Callable[[bytes], str]
Content = Callable[[WebhookCall, str], bytes]
"""What is signed, given the call and its time stamp."""


def hexadecimal(digest: bytes) -> str:
    """Return the digest as hexadecimal text."""
    return digest.hex()


def base64(digest: bytes) -> str:
    """Return the digest in base64."""
    return b64encode(digest).decode()


def body_only(call: WebhookCall, _: str) -> bytes:
    """The body is signed."""
    return call.body


@dataclass(frozen=True, slots=True)
class HmacSignature:
    """HMAC-SHA256 in a header: `HmacSignature("X-Crm-Signature", prefix="sha256=")`."""

    header: str
    """Its name, in any case."""
    encode: Encode = hexadecimal
    prefix: str = ""
    """What stands before the signature in the header."""
    content: Content = body_only
    time_header: str = ""
    """The header with the time stamp; empty when the service signs none."""
    read_time: Callable[[str], float] = float
    """Seconds since the epoch of what the time header holds."""

    def check(self, call: WebhookCall, secret: str) -> None:
        """Compare with our own signature. Raises `Forged`, also for a time stamp outside the window."""
        stamp = ""
        if self.time_header:
            stamp = _header(call, self.time_header)
            check_time(call, stamp, self.read_time)
        given = _header(call, self.header)
        if not given.startswith(self.prefix):
            raise Forged(f"{self.header} does not begin with {self.prefix}")
        ours = self.encode(hmac.digest(secret.encode(), self.content(call, stamp), sha256))
        if not hmac.compare_digest(given.removeprefix(self.prefix).encode(), ours.encode()):
            raise Forged(f"{self.header} does not fit the body")


@dataclass(frozen=True, slots=True)
class StripeSignature:
    """`Stripe-Signature: t=...,v1=...`, with several signatures while the secret is changed."""

    header: str = "stripe-signature"

    def check(self, call: WebhookCall, secret: str) -> None:
        """Compare with each of the signatures. Raises `Forged`, also for a time stamp outside the window."""
        pairs = [part.strip().partition("=") for part in _header(call, self.header).split(",")]
        stamp = next((value for name, _, value in pairs if name == "t"), "")
        check_time(call, stamp, float)
        ours = hmac.digest(secret.encode(), stamp.encode() + b"." + call.body, sha256).hex()
        given = [value for name, _, value in pairs if name == "v1"]
        if not any([hmac.compare_digest(one.encode(), ours.encode()) for one in given]):  # noqa: C419 - each is compared
            raise Forged(f"{self.header} does not fit the body")


@dataclass(frozen=True, slots=True)
class RsaSignature:
    """RSA with SHA-256 (PKCS #1 v1.5) in base64; the secret is the service's public key in PEM."""

    header: str

    def check(self, call: WebhookCall, secret: str) -> None:
        """Verify with the public key. Raises `Forged`, or `KeyUnusable` for what is no RSA key in PEM."""
        # Imported here: few services sign so, and it takes its time.
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415 - see above

        key = _rsa_key(secret)
        try:
            given = b64decode(_header(call, self.header), validate=True)
            key.verify(given, call.body, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            raise Forged(f"{self.header} does not fit the body") from None


def _rsa_key(pem: str) -> "RSAPublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415 - see above

    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable("is not a public key in PEM") from None
    if not isinstance(key, RSAPublicKey):
        raise KeyUnusable("is a public key, but not an RSA key")
    return key


def check_time(call: WebhookCall, stamp: str, read: Callable[[str], float]) -> None:
    """Raise `Forged` when the call was signed too long ago, or in the future."""
    try:
        away = abs(call.received - read(stamp))
    except (ValueError, OverflowError):
        raise Forged("the time stamp cannot be read") from None
    if not away <= WINDOW_SECONDS:
        raise Forged(f"the time stamp is more than {WINDOW_SECONDS} s away")


def _header(call: WebhookCall, name: str) -> str:
    value = call.headers.get(name, "")
    if not value:
        raise Forged(f"there is no header {name}")
    if not value.isascii():
        raise Forged(f"the header {name} is not ASCII")
    return value


_HUBSPOT_DECODES: Final = MappingProxyType({f"%{ord(character):02X}": character for character in ":/?@!$'()*,;"})
"""HubSpot decodes these in the address that it signs, and no others."""


def _slack(call: WebhookCall, stamp: str) -> bytes:
    return f"v0:{stamp}:".encode() + call.body


def _hubspot(call: WebhookCall, stamp: str) -> bytes:
    url = re.sub("%[0-9A-F]{2}", lambda found: _HUBSPOT_DECODES.get(found[0], found[0]), call.url)
    return f"{call.method}{url}".encode() + call.body + stamp.encode()


def _zendesk(call: WebhookCall, stamp: str) -> bytes:
    return stamp.encode() + call.body


def _milliseconds(stamp: str) -> float:
    return float(stamp) / 1000


def _iso(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


GITHUB: Final = HmacSignature("x-hub-signature-256", prefix="sha256=")
SHOPIFY: Final = HmacSignature("x-shopify-hmac-sha256", base64)
STRIPE: Final = StripeSignature()
SLACK: Final = HmacSignature("x-slack-signature", prefix="v0=", content=_slack, time_header="x-slack-request-timestamp")
HUBSPOT: Final = HmacSignature(
    "x-hubspot-signature-v3", base64, content=_hubspot, time_header="x-hubspot-request-timestamp",
    read_time=_milliseconds,
)  # fmt: skip
ZENDESK: Final = HmacSignature(
    "x-zendesk-webhook-signature", base64, content=_zendesk, time_header="x-zendesk-webhook-signature-timestamp",
    read_time=_iso,
)  # fmt: skip
