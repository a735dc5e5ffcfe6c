"""The command line as a person uses it, with accounts of its own."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from support.accounts import KEY
from support.prepared import run
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


async def authorize(terminal: Terminal, *arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "installs", "authorize", *arguments),
        env={**terminal.environment, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"http"):
            return process, line.decode().strip()
    raise AssertionError("no address was printed")
