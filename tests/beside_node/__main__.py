"""`PYTHONPATH=tests python -m beside_node [FOLDER]`: installs the SDK from npm, in a minute or two, and shares with it.

A FOLDER in which it is installed already is used as it is.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from support.accounts import CRYPT_SECRET
from support.installation.together import SDK as OURS
from support.installation.together import Installation, installation
from support.installation.worker_api import KEY
from support.oauth_application import Books
from support.oauth_server import CLIENT, SECRET

from connectors import Connector, Message

SDK = "@orchesty/nodejs-sdk@4.3.6"
LIFETIME, ENDED = 3600, -5
"""Seconds that a token lives."""
PAGE = "http://page.example/"


class Library(Books):
    """A service with logins."""

    key = "library"


class Orders(Connector[Any, Any]):
    """Calls the service for the user of the message."""

    name = "orders"
    application = Library

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return what the service says."""
        return message.with_data((await self.get("/orders")).json())


async def node(folder: Path, at: Installation, command: str) -> dict[str, Any]:
    """Return the token as the SDK reads it, or has renewed it, with all else of its form."""
    arguments = (command, at.worker_api.url, KEY, CRYPT_SECRET, f"{at.oauth.base_url}/token")
    process = await asyncio.create_subprocess_exec(
        "node", str(folder / "share.js"), *arguments, stdout=subprocess.PIPE, cwd=folder
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"node share.js {command} ended with {process.returncode}")
    form: dict[str, Any] = json.loads(out)["authorization_form"]
    return form


async def call(at: Installation) -> str:
    """Call our action as the platform does; return the token that reached the service."""
    envelope = {"headers": {"user": "alice"}, "body": "{}"}
    async with httpx.AsyncClient(trust_env=False) as worker:
        reply = (await worker.post(f"{at.service}/connector/orders/action", json=envelope)).json()
    assert reply["body"] == '{"ok":true}', reply
    return at.oauth.api_calls[-1].headers["Authorization"].removeprefix("Bearer ")


async def share(folder: Path, at: Installation) -> None:
    """Let each side read and renew what the other has written."""
    at.backend.register(OURS, at.service)
    await at.backend.install(OURS, "library", "alice")
    await at.backend.save(OURS, "library", "alice", client_id=CLIENT, client_secret=SECRET, server=at.oauth.base_url)
    await at.log_in("library", "alice", PAGE)
    await at.backend.switch(OURS, "library", "alice", enabled=True)
    ours = await call(at)
    read = await node(folder, at, "read")
    assert (read["token"]["accessToken"], read["client_secret"]) == (ours, SECRET)

    theirs = (await node(folder, at, "renew"))["token"]
    at.oauth.revoked.add(ours)
    asked = len(at.oauth.calls)
    assert await call(at) == theirs["accessToken"] != ours, "the one that the SDK has renewed"
    assert len(at.oauth.calls) == asked, "we need not renew it"

    at.oauth.lifetime = ENDED
    ended = (await node(folder, at, "renew"))["token"]
    at.oauth.revoked.add(theirs["accessToken"])
    at.oauth.lifetime = LIFETIME
    renewed = await call(at)
    assert at.oauth.calls[-1]["refresh_token"] == ended["refreshToken"] != theirs["refreshToken"]
    read = await node(folder, at, "read")
    assert read["token"]["accessToken"] == renewed == at.oauth.issued[-1]
    assert (read["frontend_redirect_url"], read["client_secret"]) == ("https://page", SECRET)
    again = (await node(folder, at, "renew"))["token"]
    assert again["accessToken"] == at.oauth.issued[-1] != renewed, "the SDK renews ours in turn"


async def main(folder: Path) -> None:
    """Share an install through a stand-in of worker-api."""
    shutil.copy(Path(__file__).parent / "share.js", folder)
    with TemporaryDirectory(prefix="beside-node-") as own:
        async with installation(Path(own), Orders(), names_services=False) as at:
            await share(folder, at)


if __name__ == "__main__":
    started = time.monotonic()
    with TemporaryDirectory(prefix="beside-node-") as made:
        chosen = Path(sys.argv[1]) if sys.argv[1:] else Path(made)
        if not (chosen / "node_modules").exists():
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", SDK], cwd=chosen, check=True)
        asyncio.run(main(chosen))
    print(f"both read and renew what the other wrote ({time.monotonic() - started:.0f} s)")
