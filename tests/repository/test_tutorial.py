"""docs/tutorial.md, done as it says from an empty folder; and the tests that docs/testing.md shows."""

import asyncio
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.queues import Queues
from support.waiting import eventually
from support.workers import Probed

from deploy.ports import free_ports

DOCS = Path(__file__).parent.parent.parent / "docs"
NODES = ("tutorial-start", "tutorial-get-order", "tutorial-done")

ELSEWHERE = ("python3 -m venv", ". .venv", "pip install", "docker ", "sudo ")
"""Installing, and the broker, are done already."""

BACKGROUND = "# in a terminal of its own"

FAILING = """orchesty-worker start start --data '{"id": 18}' --wait"""


@dataclass(frozen=True)
class Step:
    """A file to write, or a command."""

    text: str
    file: str = ""


def steps(page: Path, replaced: Mapping[str, str]) -> Iterator[Step]:
    text = page.read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    for kind, title, body in re.findall(r'```(\w+)(?: title="(.*?)")?\n(.*?)```', text, re.DOTALL):
        if title:
            yield Step(body, title)
        elif kind == "console":
            yield from (Step(line) for line in body.splitlines() if not line.startswith(ELSEWHERE))


class Shell:
    """Does the steps in a folder; what is started in the background ends with it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKER_", "TOPOLOGY_"))}
        self._environment = {**clean, "PATH": path, "COLUMNS": "200", **environment}
        self._running: list[asyncio.subprocess.Process] = []
        self.said = ""
        """What all commands have said so far."""

    async def do(self, step: Step) -> None:
        """Write the file or run the command, which must succeed."""
        if step.file:
            (self.folder / step.file).write_text(step.text)
        elif step.text.startswith("export "):
            pairs = [pair.partition("=") for pair in step.text.split()[1:]]
            self._environment |= {name: value for name, _, value in pairs}
        elif step.text.endswith(BACKGROUND):
            self._running.append(await self._start(f"exec {step.text}", asyncio.subprocess.DEVNULL))
        else:
            process = await self._start(step.text, asyncio.subprocess.PIPE)
            text = (await process.communicate())[0].decode()
            assert process.returncode == (1 if step.text == FAILING else 0), f"{step.text}\n{text}"
            self.said += text

    async def _start(self, command: str, output: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_shell(
            command,
            cwd=self.folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output if output == asyncio.subprocess.DEVNULL else asyncio.subprocess.STDOUT,
        )

    async def end(self) -> None:
        """Stop what runs in the background."""
        for process in self._running:
            process.terminate()
            await process.wait()


async def test_the_tutorial_leads_from_an_empty_folder_to_a_running_connector(
    tmp_path: Path, broker_url: str, queues: Queues
) -> None:
    (port,) = free_ports(1)
    probed = Probed()
    shell = Shell(tmp_path, {"WORKER_HTTP_PORT": str(probed.port), "WORKER_HTTP_HOST": "127.0.0.1"})
    broker = "amqp://guest:guest@localhost:5672/%2F"
    try:
        for step in steps(DOCS / "tutorial.md", {"8800": str(port), broker: broker_url}):
            await shell.do(step)
            if step.text.startswith("python3 -m http.server"):
                await eventually(lambda: is_open(port), what="the service")
            if step.text.startswith("orchesty-worker run"):
                await eventually(lambda: probed.has_status(200, "/readyz"), seconds=30, what="a ready worker")
    finally:
        await shell.end()
        for node in NODES:
            await queues.delete(f"node.{node}.hx", f"node.{node}.1")
    assert '"currency": "EUR"' in shell.said
    assert "3 of 3 messages done, 0 failed" in shell.said
    assert "2 of 2 messages done, 1 failed" in shell.said
    assert re.search(r"answered\s+404", shell.said)
    assert "[hidden]" in shell.said
    assert "my-secret-key" not in shell.said


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_the_tests_that_the_page_on_testing_shows_pass(tmp_path: Path) -> None:
    snippets = re.findall(r"```python\n(.*?)```", (DOCS / "testing.md").read_text(), re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n".join(snippets))
    shell = Shell(tmp_path, {})
    await shell.do(Step("pytest -q -p no:cacheprovider -W ignore test_page.py"))
    assert re.search(r"\b\d\d passed", shell.said), shell.said
