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

from support.accounts import CRYPT_SECRET, install_books, log_in, opened_at_platform
from support.installation.worker_api import KEY, WorkerApi
from support.oauth_application import Books
from support.oauth_server import OAuthServer

from applications.accounts import Accounts
from worker.accounts.platform_settings import TOKEN_FORM
from worker.documents.client import FRESH_SECONDS

SDK = "@orchesty/nodejs-sdk@4.3.6"
ENDED = "Tue Nov 24 2020 04:15:01 GMT+0000 (Coordinated Universal Time)"


async def node(folder: Path, api: WorkerApi, command: str, *given: str) -> Any:
    """Return the settings as the SDK reads them, after a change."""
    arguments = (str(folder / "share.js"), command, api.url, KEY, CRYPT_SECRET, *given)
    process = await asyncio.create_subprocess_exec("node", *arguments, stdout=subprocess.PIPE, cwd=folder)
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"node share.js {command} ended with {process.returncode}")
    return json.loads(out)["settings"]


async def share(folder: Path, api: WorkerApi, accounts: Accounts, server: OAuthServer) -> None:
    """Let each side read and renew what the other has written."""
    await install_books(accounts, server)
    ours = await log_in(accounts, server, age=4000)
    assert (await node(folder, api, "read"))[TOKEN_FORM]["token"]["accessToken"] == ours.access_token
    client = await accounts.client(Books, "alice")
    assert (await client.get("/orders")).is_success
    read = await node(folder, api, "read")
    assert read[TOKEN_FORM]["token"]["accessToken"] == server.issued[-1] != ours.access_token
    theirs = server.new_token()
    token = {"accessToken": theirs["access_token"], "refreshToken": theirs["refresh_token"], "expires": ENDED}
    change = {TOKEN_FORM: {"token": token, "frontend_redirect_url": "https://page"}}
    await node(folder, api, "change", json.dumps(change))
    accounts.forget("alice", "books")
    await asyncio.sleep(FRESH_SECONDS)
    assert (await (await accounts.client(Books, "alice")).get("/orders")).is_success
    assert server.calls[-1]["refresh_token"] == theirs["refresh_token"]
    read = await node(folder, api, "read")
    assert read[TOKEN_FORM]["token"]["accessToken"] == server.issued[-1]
    assert read[TOKEN_FORM]["frontend_redirect_url"] == "https://page"


async def main(folder: Path) -> None:
    """Share an install through a stand-in of worker-api."""
    shutil.copy(Path(__file__).parent / "share.js", folder)
    database = f"sqlite:///{folder}/notes.sqlite"
    async with (
        WorkerApi().running() as api,
        OAuthServer().serve() as server,
        opened_at_platform(api.url, database, folder) as accounts,
    ):
        await share(folder, api, accounts, server)


if __name__ == "__main__":
    started = time.monotonic()
    with TemporaryDirectory(prefix="beside-node-") as made:
        chosen = Path(sys.argv[1]) if sys.argv[1:] else Path(made)
        if not (chosen / "node_modules").exists():
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", SDK], cwd=chosen, check=True)
        asyncio.run(main(chosen))
    print(f"both read and renew what the other wrote ({time.monotonic() - started:.0f} s)")
