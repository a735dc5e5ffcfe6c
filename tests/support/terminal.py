"""The command line as a person uses it, with accounts of its own."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from support.accounts import KEY
from support.prepared import Prepared, run, talking
from support.services import LOOPBACK

TESTS = Path(__file__).parent.parent


class Terminal:
    """Runs commands with a database, key and journal of their own."""

    def __init__(self, directory: Path) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKER_")}
        self.url = f"sqlite:///{directory}/installs.sqlite"
        self.environment = {
            **clean,
            "PYTHONPATH": str(TESTS),
            "WORKER_INSTALLS_URL": self.url,
            "WORKER_EGRESS_ALLOW": LOOPBACK,
            "WORKER_SECRET_KEYS": KEY,
            "WORKER_TOKEN_JOURNAL": str(directory / "journal"),
        }

    def run(self, *arguments: str, status: int = 0, text_in: str = "", **environment: str) -> str:
        """Run a command and return what it prints."""
        done = run(arguments, self.environment | environment, text_in=text_in)
        text = done.stdout + done.stderr
        assert done.returncode == status, text
        assert "Traceback" not in text
        return text

    def json(self, *arguments: str) -> Any:
        """Run a command with `--json` and return what it prints."""
        return json.loads(self.run(*arguments, "--json"))


class Login:
    """A command that waits for a person in a browser."""

    def __init__(self, process: Prepared, printed: asyncio.StreamReader, url: str) -> None:
        self._process, self._printed = process, printed
        self.url = url

    async def ended(self) -> tuple[int, str]:
        """Return its status, and what it has printed after the address."""
        text = (await self._printed.read()).decode()
        return await self._process.watched(), text


async def authorize(terminal: Terminal, *arguments: str) -> Login:
    """Begin a login, and return when the command has printed where it begins."""
    process, printed = await talking(("installs", "authorize", *arguments), terminal.environment)
    async for line in printed:
        if line.startswith(b"http"):
            return Login(process, printed, line.decode().strip())
    raise AssertionError("no address was printed")
