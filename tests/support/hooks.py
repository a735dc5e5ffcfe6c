"""A service that calls us, for tests: its application, and its side of subscribing."""

import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx
from aiohttp import web
from pydantic import Field, HttpUrl, SecretStr

from applications import ApiKey, Application, ApplicationType, Form, Handshake, Subscription, WebhookCall
from applications.forms import Choices
from applications.http.client import Client
from applications.signatures import GITHUB
from connectors import CustomNode, Message
from support.services import served


class Settings(Form):
    """What the service is filled in with."""

    server: HttpUrl = Field(title="Server")
    token: SecretStr = Field(title="Token")
    room: str | None = Field(None, title="Room")


class Shouter(Application):
    """A service with webhooks, signed as GitHub's."""

    key = "shouter"
    kind = ApplicationType.WEBHOOK
    base_url = "{server}"
    authentication = ApiKey(header="X-Key")
    forms = (Settings,)
    webhooks = (Subscription("order"), Subscription("issues", parameters=("owner",)))
    signature = GITHUB
    delivery_header = "x-delivery"

    async def choices(self, client: Client) -> Mapping[str, Choices]:
        """Return the rooms."""
        return {"room": (await client.get("/rooms")).json()}

    async def subscribe(self, client: Client, name: str, url: str, secret: str, parameters: Mapping[str, str]) -> str:
        """Add a hook."""
        reply = await client.post("/hooks", json={"event": name, "url": url, "secret": secret, **parameters})
        return str(reply.json()["id"])

    async def unsubscribe(self, client: Client, remote_id: str) -> None:
        """Delete the hook."""
        await client.delete("/hooks/{id}", {"id": remote_id})

    async def handshake(self, call: WebhookCall) -> Handshake | None:
        """Return the challenge; start what the call names."""
        said = json.loads(call.body) if call.headers.get("content-type") == "application/json" else {}
        if isinstance(said, dict) and "start" in said:
            await self.start_topology(*said["start"], by_id=True, data=said["order"], user="bob")
        return Handshake(said["challenge"]) if isinstance(said, dict) and "challenge" in said else None


class Hear(CustomNode[Any, Any]):
    """Belongs to no service; workers of the tests find the application by `Shout`."""

    name = "hear"
    application = Shouter

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message."""
        return message


@dataclass
class ShouterServer:
    """The service's side."""

    base_url: str = ""
    hooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: int = 201
    lets_go: bool = True
    """Whether hooks can be deleted."""
    does_repeat: bool = False
    """Whether a refusal repeats what was asked."""
    asked: list[dict[str, Any]] = field(default_factory=list)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["ShouterServer"]:
        """Serve until the context ends."""
        application = web.Application()
        application.router.add_post("/hooks", self._add)
        application.router.add_get("/rooms", self._rooms)
        application.router.add_delete("/hooks/{id}", self._delete)
        async with served(application) as self.base_url:
            yield self

    async def _add(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        if self.status >= 300:
            said = {"key": request.headers["X-Key"], **self.asked[-1]} if self.does_repeat else {"error": "no"}
            return web.json_response(said, status=self.status)
        own = str(len(self.hooks) + 1)
        self.hooks[own] = self.asked[-1]
        return web.json_response({"id": own}, status=201)

    async def _rooms(self, request: web.Request) -> web.Response:
        return web.json_response({"1": "Hall", "2": "Attic"}) if self.status < 300 else web.Response(status=self.status)

    async def _delete(self, request: web.Request) -> web.Response:
        if self.status >= 300 or not self.lets_go:
            said = f"{request.headers['X-Key']} {self.hooks}" if self.does_repeat else ""
            return web.Response(text=said, status=max(self.status, 400))
        del self.hooks[request.match_info["id"]]
        return web.Response(status=204)

    async def call(self, hook: str, body: bytes, *, delivery: str = "", secret: str = "", **headers: str) -> Any:
        """Call us as the service does; return the answer."""
        own = self.hooks[hook]
        signature = hmac.digest((secret or own["secret"]).encode(), body, sha256).hex()
        common = {"X-Hub-Signature-256": f"sha256={signature}", "X-Delivery": delivery} | headers
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.post(own["url"], content=body, headers=common)
