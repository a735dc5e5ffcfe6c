"""docs/direct-integration.md, done as it says from an empty folder."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from aiohttp import web
from support.logins import visit
from support.oauth_server import CLIENT, SECRET, OAuthServer
from support.services import LOOPBACK
from support.shell import Shell, steps

from deploy.ports import free_ports

PAGE = Path(__file__).parent.parent.parent / "docs" / "direct-integration.md"


@dataclass
class Books(OAuthServer):
    """The service of the page at which people log in, and which calls webhooks."""

    subscribed: list[Any] = field(default_factory=list)

    async def _api(self, request: web.Request) -> web.Response:
        if request.path == "/api/hooks":
            self.subscribed.append(await request.json())
            return web.json_response({"id": 7})
        answer = await super()._api(request)
        return answer if answer.status == 401 else web.json_response({"id": 3, "total": 42})


async def test_the_page_leads_from_an_empty_folder_to_a_service(tmp_path: Path) -> None:
    port, rates = free_ports(2)
    environment = {
        "WORKER_ACTIONS": "my_shop",  # the entry point of the package names it, once that is installed
        "WORKER_HTTP_HOST": "127.0.0.1",
        "WORKER_EGRESS_ALLOW": LOOPBACK,
        "PYTHONPATH": ".",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    shell = Shell(tmp_path, environment)
    try:
        async with Books().serve() as books:
            replaced = {
                "curl -sf": "curl -s --fail-with-body",
                "--http-port 8080": f"--http-port {port}",
                "127.0.0.1:8080": f"127.0.0.1:{port}",
                "8800": str(rates),
                "https://books.example": books.base_url,
                "my-id": CLIENT,
                "my-secret": SECRET,
            }
            for step in steps(PAGE, replaced):
                await shell.do(step)
                if "/authorize?" in step.text and not step.is_said:
                    await log_in(shell.said, port)
    finally:
        await shell.end()
    (hook,) = books.subscribed
    assert hook["event"] == "order-created"
    assert hook["url"].startswith("https://start.orchesty.example/topologies/orders/nodes/new-order/token/")
    assert '\\"total\\":42' in shell.said
    assert "of-ann" not in shell.said


async def log_in(said: str, port: int) -> None:
    """Do what Ann does, and then the backend."""
    (begun,) = re.findall(r'{"authorizeUrl":.*?}', said)
    back = await visit(json.loads(begun)["authorizeUrl"])
    async with httpx.AsyncClient() as backend:
        url = f"http://127.0.0.1:{port}/applications/my-books/users/ann/sdk/my-shop/authorize/token?{urlencode(back)}"
        assert (await backend.get(url)).json() == {"redirectUrl": "https://orchesty.example/apps"}
