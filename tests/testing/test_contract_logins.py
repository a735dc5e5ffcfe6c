"""The contract of connectors with logins or secret settings, and what a secret in a path leaves behind."""

import json
from pathlib import Path
from typing import Any, ClassVar

import structlog
from pydantic import Field, SecretStr
from support.books import Ask
from support.records import Look
from support.soap import ENVELOPE, WSDL

from applications import Application, Form
from connectors import Connector, Message, Stop, Trash
from connectors.catalogue import github, servant, shopify
from worker.logs import hide_secrets
from worker.testing import (
    Cassette,
    ConnectionLost,
    ConnectorContract,
    Reply,
    Transport,
    answering,
    installed,
    run_action,
)

log = structlog.get_logger()
TOKEN = "12345:canary-t0ken"
CARRIERS = ENVELOPE.format(
    '<GetCarriersResponse xmlns="urn:sapi"><result><resultCode>0</resultCode></result>'
    "<carrierItems><id>1</id><name>Post</name></carrierItems></GetCarriersResponse>"
)


class TestBooks(ConnectorContract):
    action = Ask
    settings: ClassVar[Any] = {"server": "https://books.example"}
    replies = ({"orders": []},)


class TestRecords(ConnectorContract):
    """Signed by OAuth 1.0a: a refused token is a dead login."""

    action = Look
    settings: ClassVar[Any] = {"server": "https://records.example"}
    replies = ({"ok": True},)


class TestGitHub(ConnectorContract):
    action = github.get_repository
    data: ClassVar[Any] = {"org": "acme", "repo": "shop"}
    replies = ({"id": 1, "full_name": "acme/shop", "private": False},)


class TestShopify(ConnectorContract):
    action = shopify.get_order
    data: ClassVar[Any] = {"id": 17}
    after_refusal = (Trash, Stop)
    replies = ({"order": {"id": 17}},)


class TestServant(ConnectorContract):
    action = servant.GetCarriers
    before = (Reply(text=WSDL.replace("ADDRESS", "https://servant.example/V5/")),)
    replies = (*before, Reply(text=CARRIERS, headers={"content-type": "text/xml"}))


class _Bot(Form):
    token: SecretStr = Field(title="Token")


class Chat(Application):
    """A service that wants its secret in the path."""

    key = "chat"
    base_url = "https://chat.example/bot{token}"
    forms = (_Bot,)


class Say(Connector[Any, Any]):
    """POST /say; what it logs passes the worker's own processor."""

    name = "chat-say"
    application = Chat

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Say it, and log where."""
        access = await self.access()
        facts = {"url": f"{access.base_url}/say", "told": {"token": TOKEN}}
        line = structlog.processors.JSONRenderer()(log, "info", facts)
        assert hide_secrets(log, "info", line) == (
            '{"url": "https://chat.example/bot[hidden]/say", "told": {"token": "[hidden]"}}'
        )
        reply = await self.post("/say", json=message.data)
        if message.data == "raise":
            raise ValueError(f"no such chat at {access.base_url}")
        return message.with_data({"url": reply.url})


async def said(data: str, http: Transport) -> str:
    async with installed(Chat, {"token": TOKEN}) as access:
        result = await run_action(Say, data, user="alice", http=http, access=access)
    return json.dumps([result.reason, str(result.entry and result.entry.document()), result.items])


async def test_a_secret_in_the_path_is_in_no_reason_and_no_url() -> None:
    refused = Reply(404, json={"message": f"unknown bot {TOKEN}"})
    for data, reply in (("x", refused), ("x", ConnectionLost(f"lost {TOKEN}")), ("raise", {}), ("x", {})):
        text = await said(data, answering(reply))
        assert TOKEN not in text
        assert "https://chat.example/bot[hidden]" in text


async def test_a_secret_in_the_path_is_in_no_cassette(tmp_path: Path) -> None:
    path = tmp_path / "say.json"
    await said("x", Cassette(path, mode="record", service=answering({"ok": True})))
    assert "canary" not in path.read_text()
    assert "bot[hidden]/say" in await said("x", Cassette(path))


class TestFromACassette(ConnectorContract):
    action = github.get_repository
    data: ClassVar[Any] = {"org": "acme", "repo": "shop"}
    cassette = "../support/github_repository.json"
