"""An OAuth 1.0a server on loopback that verifies every signature by itself, and a service behind it.

What is signed is built here from RFC 5849, section 3.4, without the library that signs.
"""

import base64
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha1
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import Field, HttpUrl, SecretStr

from applications import Application, Form, OAuth1Login
from support.services import served

KEY, SECRET = "consumer one", "c0nsumer+secret/1 & more"
Misbehaviour = Callable[[], Awaitable[web.StreamResponse]]


class Client(Form):
    """What an OAuth 1.0a client is filled in with."""

    consumer_key: str = Field(title="Consumer key")
    consumer_secret: SecretStr = Field(title="Consumer secret")
    server: HttpUrl = Field(title="Server")


class Records(Application):
    """A service with logins by OAuth 1.0a."""

    key = "records"
    base_url = "{server}/api"
    authentication = OAuth1Login(
        request_token_url="{server}/request?scope=read",
        authorize_url="{server}/authorize?lang=en",
        access_token_url="{server}/access",
        authorize_parameters={"expiration": "never"},
    )
    forms = (Client,)


class Checked(Records):
    """The same, for a service that answers 401 for want of rights as well."""

    key = "records-checked"
    authentication = replace(Records.authentication, check_url="{server}/api/me?full=1")


class SignedByRsa(Records):
    """The same, by a private key."""

    key = "records-rsa"
    authentication = OAuth1Login(
        "{server}/request", "{server}/authorize", "{server}/access", signature_method="RSA-SHA1"
    )


class SignedByText(Records):
    """The same, by the secrets themselves."""

    key = "records-plain"
    authentication = OAuth1Login(
        "{server}/request", "{server}/authorize", "{server}/access", signature_method="PLAINTEXT"
    )


@dataclass
class OAuth1Server:
    """Issues tokens, each with a secret; request tokens work once."""

    base_url: str = ""
    public_key: Any = None
    """In PEM; what RSA-SHA1 is verified with."""
    confirms: bool = True
    """Whether it says that it has understood the callback."""
    misbehaviour: Misbehaviour | None = None
    """Answers instead of the two token endpoints."""
    problem: str = ""
    """What the service says it refuses calls for."""
    is_denied: bool = False
    """Whether the person says no."""
    secrets: dict[str, str] = field(default_factory=dict)
    """By token, of both kinds."""
    callbacks: dict[str, str] = field(default_factory=dict)
    """By request token."""
    verifiers: dict[str, str] = field(default_factory=dict)
    issued: list[str] = field(default_factory=list)
    """Tokens that calls are made with, in order."""
    revoked: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    """Paths of the token endpoints in order."""
    api_calls: list[str] = field(default_factory=list)
    """Their base strings."""
    nonces: set[tuple[str, str]] = field(default_factory=set)
    _numbers: Any = field(default_factory=count)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["OAuth1Server"]:
        """Serve until the context ends."""
        application = web.Application()
        application.router.add_post("/request", self._request_token)
        application.router.add_get("/authorize", self._authorize)
        application.router.add_post("/access", self._access_token)
        application.router.add_route("*", "/api/{path:.*}", self._api)
        async with served(application) as self.base_url:
            yield self

    def new_token(self, prefix: str = "token") -> dict[str, str]:
        """Issue a token."""
        number = next(self._numbers)
        token, secret = f"{prefix}-{number}", f"{prefix}-s3cret/{number}"
        self.secrets[token] = secret
        return {"oauth_token": token, "oauth_token_secret": secret}

    async def _request_token(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.misbehaviour is not None:
            return await self.misbehaviour()
        signed = await self._verified(request)
        if signed is None:
            return self._refused()
        made = self.new_token("request")
        self.callbacks[made["oauth_token"]] = signed["oauth_callback"]
        if self.confirms:
            made["oauth_callback_confirmed"] = "true"
        return web.Response(text=urlencode(made), content_type="text/html")  # as some services say

    async def _authorize(self, request: web.Request) -> web.Response:
        """Log the person in at once and send them back."""
        token = request.query["oauth_token"]
        back = {"denied": token}
        if not self.is_denied:
            self.verifiers[token] = f"verifier-{next(self._numbers)}"
            back = {"oauth_token": token, "oauth_verifier": self.verifiers[token]}
        callback = self.callbacks[token]
        raise web.HTTPFound(callback + ("&" if "?" in callback else "?") + urlencode(back))

    async def _access_token(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.misbehaviour is not None:
            return await self.misbehaviour()
        signed = await self._verified(request)
        if signed is None or signed.get("oauth_verifier") != self.verifiers.pop(signed["oauth_token"], None):
            return self._refused()
        made = self.new_token()
        self.issued.append(made["oauth_token"])
        return web.Response(text=urlencode({**made, "screen_name": "alice"}), content_type="text/plain")

    async def _api(self, request: web.Request) -> web.Response:
        signed = await self._verified(request)
        if request.path == "/api/secret":
            return self._refused()
        is_right = signed is not None and signed["oauth_token"] in set(self.issued) - self.revoked
        return web.json_response({"ok": True}) if is_right and not self.problem else self._refused()

    def _refused(self) -> web.Response:
        told = {"WWW-Authenticate": f'OAuth realm="records", oauth_problem="{self.problem}"'} if self.problem else {}
        return web.Response(status=401, text="Invalid signature or token", headers=told)

    async def _verified(self, request: web.Request) -> dict[str, str] | None:
        """Return what was signed (3.2), None when the signature is wrong or the nonce comes again."""
        text = request.headers.get("authorization", "")
        assert text.startswith("OAuth ")
        parts = (part.partition("=") for part in text.removeprefix("OAuth ").split(", "))
        given = {unquote(name): unquote(value.strip('"')) for name, _, value in parts}
        signature = given.pop("oauth_signature")
        base = base_string(request, given, (await request.read()).decode() if is_form(request) else "")
        if request.path.startswith("/api"):
            self.api_calls.append(base)
        nonce = (given["oauth_timestamp"], given["oauth_nonce"])
        is_new = nonce not in self.nonces and abs(time.time() - int(nonce[0])) < 60
        self.nonces.add(nonce)
        is_right = given["oauth_consumer_key"] == KEY and is_new and self._is_signed(given, base, signature)
        return given if is_right else None

    def _is_signed(self, given: dict[str, str], base: str, signature: str) -> bool:
        key = f"{quote(SECRET, safe='')}&{quote(self.secrets.get(given.get('oauth_token', ''), ''), safe='')}"
        match given["oauth_signature_method"]:
            case "HMAC-SHA1":
                return signature == base64.b64encode(hmac.digest(key.encode(), base.encode(), sha1)).decode()
            case "PLAINTEXT":
                return signature == key
        public = serialization.load_pem_public_key(self.public_key.encode())
        assert isinstance(public, rsa.RSAPublicKey)
        try:
            public.verify(base64.b64decode(signature), base.encode(), padding.PKCS1v15(), hashes.SHA1())
        except InvalidSignature:
            return False
        return True


def is_form(request: web.Request) -> bool:
    """Whether the body is signed."""
    return request.content_type == "application/x-www-form-urlencoded"


def base_string(request: web.Request, given: dict[str, str], form: str) -> str:
    """Return what is signed (3.4.1)."""
    query = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
    pairs = [*query, *parse_qsl(form, keep_blank_values=True), *given.items()]
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs if name != "realm")
    parameters = "&".join(f"{name}={value}" for name, value in encoded)
    url = f"http://{request.host}{request.rel_url.raw_path}"
    return "&".join(quote(part, safe="~") for part in (request.method, url, parameters))
