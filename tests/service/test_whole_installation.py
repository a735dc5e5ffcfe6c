"""An installation works with the service as with its own: an install lives from its start to its end."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.installation.backend import READ_IN_THE_MARKETPLACE, Failed
from support.installation.starting_point import FirstNode
from support.installation.together import SDK, Installation, installation
from support.oauth_application import Books
from support.oauth_server import CLIENT, SECRET

from applications import Limit, Subscription
from applications.application import ApplicationType
from applications.http.client import Client
from applications.install import Install
from connectors import Connector, Message

USER = "alice@shop.example"
EVENT = {"name": "sold", "topology": "t1", "node": "n1", "parameters": {"shelf": "a"}}


class Library(Books):
    """A service with a login, hooks, limits and webhooks."""

    key = "library"
    name = "Library"
    kind = ApplicationType.WEBHOOK
    limit = Limit(60, 100)
    webhooks = (Subscription("sold", "A book was sold", ("shelf",)),)
    hooks: list[str]
    subscribed: dict[str, str]

    async def after_install(self, install: Install, client: Client) -> None:
        """Note it, as those below."""
        self.hooks.append(f"installed {install.user} {install.sdk}".strip())

    async def after_enable(self, install: Install, client: Client) -> None:
        """Start a topology."""
        self.hooks.append(f"on {install.is_enabled}")
        await self.start_topology("t1", "n1", data={"id": 7}, user=install.user)

    async def after_disable(self, install: Install, client: Client) -> None:
        self.hooks.append(f"off {install.is_enabled}")

    async def after_uninstall(self, install: Install, client: Client) -> None:
        """Call the service as long as the login lasts."""
        self.hooks.append(f"uninstalled {(await client.get('/goodbye')).status}")

    async def subscribe(self, client: Client, name: str, url: str, secret: str, parameters: Mapping[str, str]) -> str:
        """Ask the service."""
        assert (await client.post("/hooks", json={"url": url})).is_success
        self.subscribed[f"remote {name} {parameters['shelf']}"] = url
        return f"remote {name} {parameters['shelf']}"

    async def unsubscribe(self, client: Client, remote_id: str) -> None:
        """Ask the service."""
        assert (await client.delete("/hooks")).is_success
        del self.subscribed[remote_id]


class Orders(Connector[Any, Any]):
    """Calls the service for the user of the message."""

    name = "orders"
    application = Library

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return what came and what the service says."""
        return message.with_data([message.data, (await self.get("/orders")).json()])


@pytest.fixture(params=[True, False], ids=["3.0", "4.3.6"])
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Installation]:
    Library.hooks, Library.subscribed = [], {}
    async with installation(tmp_path, Orders(), names_services=request.param) as found:
        yield found


async def test_an_install_lives_from_its_registration_to_its_end(at: Installation) -> None:
    await registered(at)
    await installed(at)
    await filled_in(at)
    await logged_in(at)
    await limited_and_called(at)
    await called_by_a_webhook(at)
    await uninstalled(at)


async def registered(at: Installation) -> None:
    at.backend.register(SDK, at.service)
    first = FirstNode(SDK, at.service, "connector/orders/action", ("library",))
    at.starting_point.topologies["t1", "n1"] = first
    nodes = await at.backend.nodes(SDK)
    assert nodes == {"connector": [{"name": "orders", "app": "library"}], "custom-node": [], "batch": []}
    assert set((await at.backend.marketplace(USER))["library"]) == set(READ_IN_THE_MARKETPLACE)


async def installed(at: Installation) -> None:
    await at.backend.install(SDK, "library", USER)
    assert Library.hooks == [f"installed {USER} {at.sdk}".strip()]
    (document,) = at.worker_api.kept("ApplicationInstall")
    assert (document["user"], document["key"], document.get("sdk", "")) == (USER, "library", at.sdk)
    shown = (await at.backend.marketplace(USER))["library"]
    assert (shown["enabled"], shown["authorized"]) == (False, False)
    with pytest.raises(Failed, match="has not been found"):
        await at.backend.switch(SDK, "library", "somebody else", enabled=True)


async def filled_in(at: Installation) -> None:
    typed = {"client_id": CLIENT, "client_secret": SECRET, "server": at.oauth.base_url}
    assert not await at.backend.save(SDK, "library", USER, **typed), "nobody has logged in"
    assert not await at.backend.save(SDK, "library", USER, client_id=CLIENT), "the secret comes back as true"
    (document,) = at.worker_api.kept("ApplicationInstall")
    assert document["encryptedSettings"].startswith("002_")


async def logged_in(at: Installation) -> None:
    page = "http://page.example/apps/library"
    end = await at.log_in("library", USER, page)
    assert end == (f"{page}?sdk={SDK}" if at.names_services else page)
    await at.backend.switch(SDK, "library", USER, enabled=True)
    shown = (await at.backend.marketplace(USER))["library"]
    assert (shown["enabled"], shown["authorized"]) == (True, True)
    assert Library.hooks[1:] == ["on True"]


async def limited_and_called(at: Installation) -> None:
    (run,) = at.starting_point.runs
    name = f"{SDK}:library" if at.names_services else "library"
    assert run.headers["limiter-key"] == f"{USER}|{name};60;100"
    assert (run.status, run.answer["body"]) == (200, '[{"id":7},{"ok":true}]')
    assert run.answer["headers"]["result-code"] == "0"
    assert run.headers.items() <= run.answer["headers"].items(), "the worker needs them for the next node"


async def called_by_a_webhook(at: Installation) -> None:
    assert await at.backend.events(SDK, "library") == [
        {"name": "sold", "parameters": ["shelf"], "description": "A book was sold"}
    ]
    await at.backend.subscribe(SDK, "library", USER, **EVENT)
    (document,) = at.worker_api.kept("Webhook")
    place = {"topology": "t1", "node": "n1", "name": "sold", "deleted": False}
    assert place.items() <= document.items(), "what the backend calls subscribed"
    assert document.get("sdk", "") == at.sdk
    (url,) = Library.subscribed.values()
    async with httpx.AsyncClient(trust_env=False) as service:
        assert (await service.post(url, json={"sold": 1})).status_code == 200
    run = at.starting_point.runs[-1]
    assert (run.headers["user"], run.answer["body"]) == (USER, '[{"sold":1},{"ok":true}]')
    await at.backend.unsubscribe(SDK, "library", USER, **{name: EVENT[name] for name in ("name", "topology", "node")})
    assert (Library.subscribed, at.worker_api.kept("Webhook")) == ({}, [])


async def uninstalled(at: Installation) -> None:
    await at.backend.uninstall(SDK, "library", USER)
    assert Library.hooks[2:] == ["off False", "uninstalled 200"]
    assert at.worker_api.kept("ApplicationInstall") == []
    assert "enabled" not in (await at.backend.marketplace(USER))["library"]
