"""An OAuth 2 server on loopback, and a service behind it, with every misbehaviour that a test asks for."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from support.services import served

CLIENT, SECRET = "client one", "s+cret/1 of the client, long enough"


class HungUp(Exception):
    """A misbehaviour raises it: the connection is closed without an answer."""


Misbehaviour = Callable[[], Awaitable[web.StreamResponse]]


@dataclass
class OAuthServer:
    """Issues tokens. Refresh tokens rotate: the old one works no more, or for the grace that a test allows."""

    base_url: str = ""
    lifetime: Any = 3600
    rotates: bool = True
    grace_seconds: float = 0
    """How long a refresh token may be used again after it was exchanged, as at Xero."""
    misbehaviour: Misbehaviour | None = None
    """Answers instead of the token endpoint."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each call of the token endpoint."""
    held_reply: asyncio.Event | None = None
    """The reply waits for it, after the token was issued."""
    public_key: Any = None
    calls: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    """Access tokens in order."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: dict[str, float] = field(default_factory=dict)
    """When each was exchanged, 0 for never."""
    revoked: set[str] = field(default_factory=set)
    api_calls: list[web.Request] = field(default_factory=list)
    _numbers: Any = field(default_factory=count)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["OAuthServer"]:
        """Serve until the context ends."""
        application = web.Application()
        application.router.add_get("/authorize", self._authorize)
        application.router.add_post("/token", self._token)
        application.router.add_post("/token/{key:.*}", self._token)
        application.router.add_route("*", "/api/{path:.*}", self._api)
        async with served(application) as self.base_url:
            yield self

    def new_token(self) -> dict[str, Any]:
        """Issue a token."""
        number = next(self._numbers)
        access, refresh = f"access-{number}", f"refresh-{number}"
        self.issued.append(access)
        self.refresh_tokens[refresh] = 0
        reply: dict[str, Any] = {"access_token": access, "token_type": "bearer", "refresh_token": refresh}
        if self.lifetime is not None:
            reply["expires_in"] = self.lifetime
        return reply

    async def _authorize(self, request: web.Request) -> web.Response:
        """Log the person in at once and send them back."""
        query = dict(request.query)
        code = f"code-{next(self._numbers)}"
        self.codes[code] = query
        raise web.HTTPFound(f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}")

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        self.calls.append(form)
        self.headers.append(dict(request.headers))
        self.arrived.set()
        if self.misbehaviour is not None:
            return await self._misbehave(request, self.misbehaviour)
        if not self._is_client(request, form):
            return web.json_response({"error": "invalid_client"}, status=401)
        reply = self._granted(form)
        if self.held_reply is not None:
            await self.held_reply.wait()
        if reply is None:
            return web.json_response(
                {"error": "invalid_grant", "error_description": f"no such token {form.get('refresh_token')}"},
                status=400,
            )
        return web.json_response(reply)

    async def _misbehave(self, request: web.Request, misbehaviour: Misbehaviour) -> web.StreamResponse:
        try:
            return await misbehaviour()
        except HungUp:
            assert request.transport is not None, "nobody else has closed it"
            request.transport.abort()
            return web.Response()  # goes nowhere

    def _granted(self, form: dict[str, str]) -> dict[str, Any] | None:
        match form["grant_type"]:
            case "authorization_code":
                asked = self.codes.pop(form["code"], None)
                is_right = asked and asked["redirect_uri"] == form["redirect_uri"] and _is_verified(asked, form)
                return self.new_token() if is_right else None
            case "refresh_token":
                used = self.refresh_tokens.get(form["refresh_token"])
                if used is None or (used and time.time() - used > self.grace_seconds):
                    return None
                if not self.rotates:
                    return {name: value for name, value in self.new_token().items() if name != "refresh_token"}
                self.refresh_tokens[form["refresh_token"]] = used or time.time()
                return self.new_token()
            case "client_credentials":
                return {name: value for name, value in self.new_token().items() if name != "refresh_token"}
        return None

    def _is_client(self, request: web.Request, form: dict[str, str]) -> bool:
        if "client_assertion" in form:
            key = RSAKey.import_key(self.public_key) if self.public_key else OctKey.import_key(SECRET)
            claims = jwt.decode(form["client_assertion"], key, algorithms=["RS256", "HS256"]).claims
            return (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT, CLIENT, f"{self.base_url}/token")
        given = request.headers.get("authorization", "")
        if given.startswith("Basic "):
            user, _, password = base64.b64decode(given[6:]).decode().partition(":")
            return (unquote_plus(user), unquote_plus(password)) == (CLIENT, SECRET)
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)

    async def _api(self, request: web.Request) -> web.Response:
        self.api_calls.append(request)
        await request.read()
        return web.json_response({"ok": True}) if self._is_allowed(request) else web.Response(status=401)

    def _is_allowed(self, request: web.Request) -> bool:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = request.headers.get("x-shopify-access-token", token)
        return token in self.issued and token not in self.revoked


def _is_verified(asked: dict[str, str], form: dict[str, str]) -> bool:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return asked.get("code_challenge") == base64.urlsafe_b64encode(digest).decode().rstrip("=")
