"""`orchesty-worker actions run` and `schema`, against a service on loopback."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from support.command import command_async
from support.services import serving

MODULE = '''
"""A shop."""
from typing import Any
from pydantic import BaseModel
from applications import Application
from connectors import Batch, Connector, CustomNode, Message, Page


class Shop(Application):
    key = "shop"
    base_url = "{url}"
    headers = {{"Authorization": "Bearer s3cr3t-token"}}


class OrderId(BaseModel):
    id: int


class Order(BaseModel):
    id: int
    user: str


class GetOrder(Connector[OrderId, Order]):
    """GET /orders/{{id}}."""

    name = "get-order"
    application = Shop

    async def process(self, message: Message[OrderId]) -> Message[Order]:
        reply = (await self.get(f"/orders/{{message.data.id}}", params={{"api_key": "s3cr3t-key"}})).json()
        return message.with_data(Order(id=reply["id"], user=message.headers.get("user", "")))


class ListOrders(Batch[Any, Any]):
    """Twelve orders on two pages."""

    name = "list-orders"
    application = Shop

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        await self.get("/orders/1")
        return Page([{{"id": number}} for number in range(6)], next_cursor=None if cursor else "2")


class Echo(CustomNode[Any, Any]):
    """Returns the message."""

    name = "echo"

    async def process(self, message: Message[Any]) -> Message[Any]:
        return message
'''


async def answer(request: web.Request) -> web.Response:
    number = request.path.rpartition("/")[2]
    if number == "429":
        return web.Response(status=429, headers={"retry-after": "600"})
    if number == "404":
        return web.json_response({"error": "no order for s3cr3t-token"}, status=404)
    reply = web.json_response({"id": int(number), "access_token": "s3cr3t-issued", "seen": "s3cr3t-token"})
    reply.set_cookie("session", "s3cr3t-cookie")
    return reply


class Actions:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __call__(self, *arguments: str, status: int = 0) -> str:
        done: subprocess.CompletedProcess[str] = await command_async(
            "actions", *arguments, "--actions", "loopback_shop", PYTHONPATH=str(self.folder)
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "s3cr3t" not in done.stdout + done.stderr
        return done.stdout if status < 2 else done.stderr


@pytest.fixture
async def actions(tmp_path: Path) -> AsyncIterator[Actions]:
    """Run commands about the actions of a shop on loopback; none of them shows a secret."""
    async with serving(answer) as url:
        (tmp_path / "loopback_shop.py").write_text(MODULE.format(url=url))
        yield Actions(tmp_path)


async def test_request_reply_and_outcome_are_shown_without_secrets(actions: Actions) -> None:
    text = await actions("run", "get-order", "--data", '{"id": 17}', "--user", "alice")
    assert "/orders/17?api_key=[hidden]" in text
    assert "authorization: [hidden]" in text.lower()
    assert "→ 200" in text
    assert '"access_token": "[hidden]"' in text
    assert text.rstrip().endswith('forward\n  {\n   "id": 17,\n   "user": "alice"\n  }')


async def test_json_holds_the_same_facts(actions: Actions) -> None:
    facts = json.loads(await actions("run", "get-order", "--data", '{"id": 17}', "--header", "own=1", "--json"))
    (exchange,) = facts["exchanges"]
    assert (facts["outcome"], exchange["method"], exchange["status"]) == ("forward", "GET", 200)
    assert exchange["reply"] == {"id": 17, "access_token": "[hidden]", "seen": "[hidden]"}
    assert facts["messages"][0]["body"] == {"id": 17, "user": ""}
    assert facts["messages"][0]["headers"]["own"] == "1"


async def test_a_batch_runs_all_pages(actions: Actions) -> None:
    text = await actions("run", "list-orders")
    assert "page: 12 items on 2 pages" in text
    assert "... 2 more; --json shows all" in text
    assert len(json.loads(await actions("run", "list-orders", "--json"))["messages"]) == 12


async def test_a_repeat_and_the_trash_end_with_status_1_and_the_reason(actions: Actions) -> None:
    text = await actions("run", "get-order", "--data", '{"id": 429}', status=1)
    assert "repeat: after 600 s: GET" in text
    text = await actions("run", "get-order", "--data", '{"id": 404}', status=1)
    assert "no order for [hidden]" in text
    assert "answered 404" in text.splitlines()[-1]
    text = await actions("run", "get-order", "--data", '{"id": "x"}', status=1)
    assert "at $.id: Input should be a valid integer" in text
    facts = json.loads(await actions("run", "get-order", "--data", '{"id": 429}', "--json", status=1))
    assert (facts["outcome"], facts["afterSeconds"]) == ("repeat", 600)


async def test_a_body_comes_from_a_file(actions: Actions, tmp_path: Path) -> None:
    (tmp_path / "body.txt").write_text("no JSON, ü")
    assert "no JSON, ü" in await actions("run", "echo", "--file", str(tmp_path / "body.txt"))


async def test_wrong_usage_ends_with_status_2(actions: Actions) -> None:
    assert "give either --data or --file" in await actions(
        "run", "echo", "--data", "1", "--file", "/dev/null", status=2
    )
    assert "did you mean 'echo'?" in await actions("run", "ech", status=2)
    assert "must be NAME=VALUE" in await actions("run", "echo", "--header", "x", status=2)


async def test_schemas_are_printed(actions: Actions) -> None:
    schemas = json.loads(await actions("schema", "get-order"))
    assert schemas["input"]["required"] == ["id"]
    assert json.loads(await actions("schema", "get-order", "--output")) == schemas["output"]
