"""Xero on loopback: login, rotating refresh tokens, organisations, and a call that names one.

Facts: https://developer.xero.com/documentation/guides/oauth2/auth-flow and .../guides/oauth2/tenants.
"""

import time
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus
from uuid import uuid4

from aiohttp import web

from support.webhook_services import CLIENT, SECRET, Service

LIFE_SECONDS, GRACE_SECONDS = 1800, 1800


@dataclass
class XeroServer(Service):
    """login.xero.com, identity.xero.com and api.xero.com; access tokens end after half an hour."""

    tenants: list[str] = field(default_factory=lambda: ["tenant-1", "tenant-2"])
    access: dict[str, float] = field(default_factory=dict)
    """When each access token ends."""
    refresh: dict[str, float] = field(default_factory=dict)
    """Until when each refresh token is taken."""
    grants: list[str] = field(default_factory=list)
    is_revoked: bool = False

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/identity/connect/authorize", self._authorize),
            web.post("/connect/token", self._token),
            web.get("/connections", self._connections),
            web.get("/api.xro/2.0/{path:.*}", self._accounting),
        ]

    async def _token(self, request: web.Request) -> web.Response:
        kind, _, pair = request.headers.get("Authorization", "").partition(" ")
        client, _, secret = b64decode(pair).decode().partition(":")
        if (kind, unquote_plus(client), unquote_plus(secret)) != ("Basic", CLIENT, SECRET):
            return web.json_response({"error": "invalid_client"}, status=400)
        form = dict(parse_qsl(await request.text()))
        self.grants.append(form["grant_type"])
        if not self._is_good(form):
            return web.json_response({"error": "invalid_grant"}, status=400)
        access, refresh = f"access-{uuid4().hex}", f"refresh-{uuid4().hex}"
        self.access[access], self.refresh[refresh] = time.time() + LIFE_SECONDS, time.time() + 60 * 86400
        reply: dict[str, Any] = {"access_token": access, "refresh_token": refresh, "id_token": f"id-{uuid4().hex}"}
        return web.json_response({**reply, "token_type": "Bearer", "expires_in": LIFE_SECONDS, "scope": self.scopes})

    def _is_good(self, form: dict[str, str]) -> bool:
        if form["grant_type"] == "authorization_code":
            is_new = form["code"] in self.codes
            self.codes.discard(form["code"])
            return is_new
        given = form["refresh_token"]
        if self.is_revoked or self.refresh.get(given, 0) < time.time():
            return False
        self.refresh[given] = min(self.refresh[given], time.time() + GRACE_SECONDS)
        return True

    def _problem(self, request: web.Request) -> web.Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.access.get(token, 0) > time.time():
            return None
        detail = "TokenExpired: token expired" if token in self.access else "AuthenticationUnsuccessful"
        return web.json_response({"Title": "Unauthorized", "Status": 401, "Detail": detail}, status=401)

    async def _connections(self, request: web.Request) -> web.Response:
        found = [{"id": str(uuid4()), "tenantId": name, "tenantType": "ORGANISATION"} for name in self.tenants]
        return self._problem(request) or web.json_response(found)

    async def _accounting(self, request: web.Request) -> web.Response:
        if problem := self._problem(request):
            return problem
        if (tenant := request.headers.get("Xero-Tenant-Id")) not in self.tenants:
            return web.json_response({"Title": "Forbidden", "Status": 403}, status=403)
        return web.json_response({"Status": "OK", "Organisations": [{"OrganisationID": tenant}]})
