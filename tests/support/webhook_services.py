"""GitHub and Shopify on loopback: logins, hooks and their calls, as far as our applications use them.

Facts: https://docs.github.com/en/rest/repos/webhooks, https://docs.github.com/en/apps/oauth-apps/building-oauth-apps,
https://shopify.dev/docs/api/admin-rest/latest/resources/webhook, https://shopify.dev/docs/apps/build/webhooks.
"""

import hmac
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import httpx
from aiohttp import web

from support.services import served

CLIENT, SECRET, TOKEN = "the client", "the client's secret", "the-token-of-alice"


@dataclass
class Service:
    """What both have in common."""

    base_url: str = ""
    hooks: dict[int, dict[str, Any]] = field(default_factory=dict)
    codes: set[str] = field(default_factory=set)
    scopes: str = ""
    """What the person was asked for at the last login."""
    _numbers: Any = field(default_factory=lambda: count(501))

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Serve until the context ends."""
        application = web.Application()
        application.add_routes(self._routes())
        async with served(application) as self.base_url:
            yield

    def _routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    async def _authorize(self, request: web.Request) -> web.Response:
        """Log the person in at once and send them back."""
        self.scopes, code = request.query["scope"], uuid4().hex
        self.codes.add(code)
        back = urlencode({"code": code, "state": request.query["state"]})
        raise web.HTTPFound(f"{request.query['redirect_uri']}?{back}")

    def _is_granted(self, form: dict[str, str]) -> bool:
        is_client = (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        if not is_client or form.get("code") not in self.codes:
            return False
        self.codes.remove(form["code"])
        return True


class GitHubServer(Service):
    """api.github.com and github.com; alice may change the hooks of `me/shop`."""

    def _routes(self) -> list[web.RouteDef]:
        hooks = "/repos/{owner}/{repo}/hooks"
        return [
            web.get("/login/oauth/authorize", self._authorize),
            web.post("/login/oauth/access_token", self._token),
            web.get("/user", self._user),
            web.get(hooks, self._list),
            web.post(hooks, self._add),
            web.delete(hooks + "/{id}", self._delete),
        ]

    async def _token(self, request: web.Request) -> web.Response:
        """Errors are a 200, too; the reply is a form unless JSON is asked for; tokens have no end."""
        form = dict(parse_qsl(await request.text()))
        reply = {"access_token": TOKEN, "scope": "admin:repo_hook,repo", "token_type": "bearer"}
        if not self._is_granted(form):
            reply = {"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}
        if request.headers.get("Accept") == "application/json":
            return web.json_response(reply)
        return web.Response(text=urlencode(reply), content_type="application/x-www-form-urlencoded")

    def _problem(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"message": "Bad credentials", "status": "401"}, status=401)
        if "owner" in request.match_info and (request.match_info["owner"], request.match_info["repo"]) != (
            "me",
            "shop",
        ):
            return web.json_response({"message": "Not Found", "status": "404"}, status=404)  # forbidden looks so, too
        return None

    async def _user(self, request: web.Request) -> web.Response:
        return self._problem(request) or web.json_response({"login": "alice"})

    async def _list(self, request: web.Request) -> web.Response:
        return self._problem(request) or web.json_response(list(self.hooks.values()))

    async def _add(self, request: web.Request) -> web.Response:
        if problem := self._problem(request):
            return problem
        asked = await request.json()
        if any(hook["config"]["url"] == asked["config"]["url"] for hook in self.hooks.values()):
            errors = [{"resource": "Hook", "code": "custom", "message": "Hook already exists on this repository"}]
            return web.json_response({"message": "Validation Failed", "errors": errors}, status=422)
        number = next(self._numbers)
        self.hooks[number] = {"type": "Repository", "id": number, "active": True, **asked}
        return web.json_response(self.hooks[number], status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        if problem := self._problem(request):
            return problem
        if self.hooks.pop(int(request.match_info["id"]), None) is None:
            return web.json_response({"message": "Not Found", "status": "404"}, status=404)
        return web.Response(status=204)

    async def call(self, number: int, event: str, body: bytes, secret: str = "") -> httpx.Response:
        """Call us, as for an event."""
        config = self.hooks[number]["config"]
        signature = hmac.digest((secret or config["secret"]).encode(), body, sha256).hex()
        headers = {
            "Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/044aadd", "X-GitHub-Event": event,
            "X-GitHub-Delivery": str(uuid4()), "X-GitHub-Hook-ID": str(number),
            "X-Hub-Signature-256": f"sha256={signature}",
        }  # fmt: skip
        return await _called(config["url"], body, headers)


class ShopifyServer(Service):
    """One shop. It signs with the app's own secret."""

    def _routes(self) -> list[web.RouteDef]:
        hooks = "/admin/api/2024-01/webhooks"
        return [
            web.get("/admin/oauth/authorize", self._authorize),
            web.post("/admin/oauth/access_token", self._token),
            web.get("/admin/api/2024-01/shop.json", self._shop),
            web.get(f"{hooks}.json", self._list),
            web.post(f"{hooks}.json", self._add),
            web.delete(hooks + "/{id}.json", self._delete),
        ]

    async def _token(self, request: web.Request) -> web.Response:
        if not self._is_granted(dict(parse_qsl(await request.text()))):
            return web.json_response(
                {"error": "invalid_request", "error_description": "The authorization code was not found or was used"},
                status=400,
            )
        return web.json_response({"access_token": TOKEN, "scope": self.scopes})

    def _problem(self, request: web.Request) -> web.Response | None:
        if request.headers.get("X-Shopify-Access-Token") == TOKEN:
            return None
        text = "[API] Invalid API key or access token (unrecognized login or wrong password)"
        return web.json_response({"errors": text}, status=401)

    async def _shop(self, request: web.Request) -> web.Response:
        return self._problem(request) or web.json_response({"shop": {"name": "eshop"}})

    async def _list(self, request: web.Request) -> web.Response:
        return self._problem(request) or web.json_response({"webhooks": list(self.hooks.values())})

    async def _add(self, request: web.Request) -> web.Response:
        if problem := self._problem(request):
            return problem
        asked = (await request.json())["webhook"]
        if any(hook["topic"] == asked["topic"] for hook in self.hooks.values()):
            errors = {"address": ["for this topic has already been taken"]}
            return web.json_response({"errors": errors}, status=422)
        number = next(self._numbers)
        self.hooks[number] = {"id": number, "api_version": "2024-01", **asked}
        return web.json_response({"webhook": self.hooks[number]}, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        if problem := self._problem(request):
            return problem
        if self.hooks.pop(int(request.match_info["id"]), None) is None:
            return web.json_response({"errors": "Not Found"}, status=404)
        return web.json_response({})

    async def call(self, number: int, body: bytes, secret: str = SECRET) -> httpx.Response:
        """Call us, as for an event."""
        hook = self.hooks[number]
        headers = {
            "Content-Type": "application/json", "X-Shopify-Topic": hook["topic"],
            "X-Shopify-Shop-Domain": "eshop.myshopify.com", "X-Shopify-Webhook-Id": str(uuid4()),
            "X-Shopify-Hmac-Sha256": b64encode(hmac.digest(secret.encode(), body, sha256)).decode(),
        }  # fmt: skip
        return await _called(hook["address"], body, headers)


async def _called(url: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.post(url, content=body, headers=headers)
