"""Signatures of webhooks: right ones pass, and nothing else does."""

import base64
import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from applications.signatures import (
    GITHUB,
    HUBSPOT,
    SHOPIFY,
    SLACK,
    STRIPE,
    ZENDESK,
    Forged,
    HmacSignature,
    KeyUnusable,
    RsaSignature,
    Signature,
)
from applications.webhook_call import WebhookCall

BODY = b'{"order": 17, "name": "\xc5\xbdofie"}'
URL = "https://hooks.example/webhook?x=1"
SECRET = "s3cret"
NOW = time.time()


def digest(content: bytes) -> bytes:
    return hmac.digest(SECRET.encode(), content, sha256)


def b64(content: bytes) -> str:
    return base64.b64encode(digest(content)).decode()


def github(_: float) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={digest(BODY).hex()}"}


def shopify(_: float) -> dict[str, str]:
    return {"x-shopify-hmac-sha256": b64(BODY)}


def stripe(now: float) -> dict[str, str]:
    signed = digest(f"{now:.0f}.".encode() + BODY).hex()
    return {"stripe-signature": f"t={now:.0f},v0=x,v1={'0' * 64},v1={signed}"}


def slack(now: float) -> dict[str, str]:
    signed = digest(f"v0:{now:.0f}:".encode() + BODY).hex()
    return {"x-slack-signature": f"v0={signed}", "x-slack-request-timestamp": f"{now:.0f}"}


def hubspot(now: float) -> dict[str, str]:
    stamp = f"{now * 1000:.0f}"
    signed = b64(b"POST" + URL.encode() + BODY + stamp.encode())
    return {"x-hubspot-signature-v3": signed, "x-hubspot-request-timestamp": stamp}


def zendesk(now: float) -> dict[str, str]:
    stamp = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
    return {"x-zendesk-webhook-signature": b64(stamp.encode() + BODY), "x-zendesk-webhook-signature-timestamp": stamp}


SCHEMES = [
    pytest.param(GITHUB, github, id="github"),
    pytest.param(SHOPIFY, shopify, id="shopify"),
    pytest.param(STRIPE, stripe, id="stripe"),
    pytest.param(SLACK, slack, id="slack"),
    pytest.param(HUBSPOT, hubspot, id="hubspot"),
    pytest.param(ZENDESK, zendesk, id="zendesk"),
]
Sign = Callable[[float], dict[str, str]]


def call(headers: dict[str, str]) -> WebhookCall:
    return WebhookCall("POST", URL, headers, BODY, NOW)


@pytest.mark.parametrize(("scheme", "sign"), SCHEMES)
def test_a_right_signature_passes(scheme: Signature, sign: Sign) -> None:
    scheme.check(call(sign(NOW)), SECRET)


@pytest.mark.parametrize(("scheme", "sign"), SCHEMES)
def test_another_body_secret_or_header_does_not(scheme: Signature, sign: Sign) -> None:
    right = call(sign(NOW))
    with pytest.raises(Forged):
        scheme.check(replace(right, body=BODY + b" "), SECRET)
    with pytest.raises(Forged):
        scheme.check(right, "other")
    for name, value in right.headers.items():
        for wrong in ("", value[:-1], f"{value}x", "ž", "nan", "1e400", "-1"):
            with pytest.raises(Forged):
                scheme.check(call({**right.headers, name: wrong}), SECRET)


@pytest.mark.parametrize(("scheme", "sign"), SCHEMES)
@pytest.mark.parametrize("written", [str.upper, str.lower, str.title], ids=["upper", "lower", "title"])
def test_names_of_headers_are_found_in_any_case(scheme: Signature, sign: Sign, written: Callable[[str], str]) -> None:
    scheme.check(call({written(name): value for name, value in sign(NOW).items()}), SECRET)


@pytest.mark.parametrize("name", ["X-Crm-Signature", "x-crm-signature", "X-CRM-SIGNATURE"])
def test_a_signature_of_your_own_names_its_header_in_any_case(name: str) -> None:
    sent = call({"X-crm-Signature": f"v1={digest(BODY).hex()}"})
    HmacSignature(name, prefix="v1=").check(sent, SECRET)
    assert sent.headers.get(name) == sent.headers[name]


@pytest.mark.parametrize(("scheme", "sign"), SCHEMES[2:])
@pytest.mark.parametrize("away", [-301, 301])
def test_a_call_from_another_time_does_not(scheme: Signature, sign: Sign, away: int) -> None:
    with pytest.raises(Forged, match="300 s away"):
        scheme.check(call(sign(NOW + away)), SECRET)


@pytest.mark.parametrize(("scheme", "sign"), SCHEMES[2:])
@pytest.mark.parametrize("away", [-299, 299])
def test_a_call_from_nearly_five_minutes_away_still_does(scheme: Signature, sign: Sign, away: int) -> None:
    scheme.check(call(sign(NOW + away)), SECRET)


def test_the_published_example_of_github_passes() -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    example = WebhookCall("POST", URL, {"x-hub-signature-256": signature}, b"Hello, World!", NOW)
    GITHUB.check(example, "It's a Secret to Everybody")


def test_the_published_example_of_slack_passes() -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    headers = {"x-slack-signature": signature, "x-slack-request-timestamp": "1531420618"}
    SLACK.check(WebhookCall("POST", URL, headers, body, 1531420618), "8f742231b10e8888abcd99yyyzzz85a5")


STRIPE_EVENT = b"""{
  "id": "evt_123",
  "object": "event",
  "account": "acct_123",
  "api_version": "2017-05-25",
  "created": 1533204620,
  "data": {
    "object": {
      "id": "cus_123",
      "object": "customer",
      "created": 123456789,
      "email": "test@stripe.com",
      "livemode": false,
      "metadata": {}
    }
  },
  "livemode": false,
  "pending_webhooks": 1,
  "request": {
    "id": "req_123",
    "idempotency_key": "idempotency-key-123"
  },
  "type": "customer.created"
}
"""


def test_the_signature_in_the_tests_of_stripes_client_passes() -> None:
    """https://github.com/stripe/stripe-dotnet/tree/6045930/src/StripeTests: event_test_signature.json"""
    signature = (
        "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,"
        "v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef"
    )
    example = WebhookCall("POST", URL, {"stripe-signature": signature}, STRIPE_EVENT, 1533204620)
    STRIPE.check(example, "webhook_secret")


def test_a_signature_that_another_implementation_makes_for_shopify_passes() -> None:
    """https://github.com/sqlpage/SQLPage, in the tests of its function `hmac`"""
    headers = {"x-shopify-hmac-sha256": "QNyObTlKbMx2qDlPF/ZOZcBqg5OgPg+2oky3zldc0Gw="}
    body = b'{"id":1234567890,"email":"customer@example.com","total_price":"123.45"}'
    SHOPIFY.check(WebhookCall("POST", URL, headers, body, NOW), "test-webhook-secret")


def test_a_signature_that_another_implementation_makes_for_zendesk_passes() -> None:
    """https://github.com/webhookx-io/webhookx, in the tests of its plugin; Zendesk writes its time in words."""
    headers = {
        "x-zendesk-webhook-signature": "qtmu3iClLKujnujOBkwe7yjI34o5CzsLD04Uy4LbE2A=",
        "x-zendesk-webhook-signature-timestamp": "1531420618",
    }
    body = b'{"event_type": "foo.bar","data": {"key": "value"}}'
    example = WebhookCall("POST", URL, headers, body, 1531420618)
    replace(ZENDESK, read_time=float).check(example, "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==")


def test_the_signature_in_the_tests_of_hubspots_client_passes() -> None:
    """https://github.com/HubSpot/hubspot-api-python/blob/master/tests/spec/utils/test_signature.py"""
    headers = {
        "x-hubspot-signature-v3": "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=",
        "x-hubspot-request-timestamp": "1693657560000",
    }
    body = b"{'example_field':'example_value'}"
    example = WebhookCall("POST", "https://www.example.com/webhook_uri", headers, body, 1693657560)
    HUBSPOT.check(example, "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy")


def test_a_right_signature_of_another_version_does_not_pass() -> None:
    signed = stripe(NOW)["stripe-signature"].rpartition("v1=")[2]
    STRIPE.check(call({"stripe-signature": f"t={NOW:.0f},v1={signed}"}), SECRET)
    for header in (f"t={NOW:.0f},v0={signed}", f"t={NOW:.0f},v1x={signed}", f"t={NOW:.0f},{signed}"):
        with pytest.raises(Forged):
            STRIPE.check(call({"stripe-signature": header}), SECRET)


@pytest.mark.parametrize(("scheme", "sign", "prefix"), [(GITHUB, github, "sha256="), (SLACK, slack, "v0=")])
@pytest.mark.parametrize("wrong", ["", "v1=", "sha1="])
def test_a_right_digest_without_its_prefix_does_not_pass(
    scheme: HmacSignature, sign: Sign, prefix: str, wrong: str
) -> None:
    headers = sign(NOW)
    digested = headers[scheme.header].removeprefix(prefix)
    with pytest.raises(Forged, match=f"does not begin with {prefix}"):
        scheme.check(call({**headers, scheme.header: f"{wrong}{digested}"}), SECRET)


def test_rsa_signatures_are_verified_with_the_public_key() -> None:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    signed = base64.b64encode(key.sign(BODY, padding.PKCS1v15(), hashes.SHA256())).decode()
    scheme = RsaSignature("x-signature")
    scheme.check(call({"x-signature": signed}), public)
    for wrong in ({}, {"x-signature": "AAAA"}, {"x-signature": "?"}, {"x-signature": f"{signed[:8]}!{signed[8:]}"}):
        with pytest.raises(Forged):
            scheme.check(call(wrong), public)


def test_a_key_that_is_no_rsa_key_is_told_apart_from_a_forged_call() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for secret, told in (
        ("no key", "not a public key in PEM"),
        (pem, "not an RSA key"),
        (pem[:-60], "not a public key"),
    ):
        with pytest.raises(KeyUnusable, match=told):
            RsaSignature("x-signature").check(call({"x-signature": "AAAA"}), secret)


@pytest.mark.parametrize(
    ("query", "signed"),
    [
        ("name=two%20words", "name=two%20words"),
        ("a=1%262", "a=1%262"),
        ("n=%C5%BE", "n=%C5%BE"),
        ("at=%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B", "at=:/?@!$'()*,;"),
        ("at=%253A", "at=%253A"),
    ],
)
def test_hubspot_decodes_twelve_characters_of_the_address(query: str, signed: str) -> None:
    """https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation"""
    stamp = f"{NOW * 1000:.0f}"
    right = b64(f"POSThttps://hooks.example/webhook?{signed}".encode() + BODY + stamp.encode())
    headers = {"x-hubspot-signature-v3": right, "x-hubspot-request-timestamp": stamp}
    HUBSPOT.check(replace(call(headers), url=f"https://hooks.example/webhook?{query}"), SECRET)
