"""The commands and files of a page, done in order as a reader does them."""

import asyncio
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.prepared import Prepared, run, start
from support.waiting import eventually

ELSEWHERE = ("python3 -m venv", ". .venv", "pip install", "docker ", "sudo ")
"""Installing, and the broker, are done already."""

OWN = "orchesty-worker "
SYNTAX = frozenset("|&;<>()$`*?~\\")
"""What a shell may give a meaning to, besides quotes."""

UNNEEDED = {"PYTEST_ADDOPTS": "-p no:schemathesis"}
"""What a reader has not installed, and what takes its time at each start of pytest."""

BACKGROUND = "# in a terminal of its own"


@dataclass(frozen=True)
class Step:
    """A file to write, a command, or what the commands so far have said."""

    text: str
    file: str = ""
    is_said: bool = False


def steps(page: Path, replaced: Mapping[str, str]) -> Iterator[Step]:
    """Yield the steps of a page, with other words for some."""
    text = page.read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    for kind, title, body in re.findall(r'```(\w+)(?: title="(.*?)")?\n(.*?)```', text, re.DOTALL):
        if kind == "json" and title == "said":
            yield Step(body, is_said=True)
        elif title:
            yield Step(body, title)
        elif kind == "console":
            yield from (Step(line) for line in body.splitlines() if not line.startswith(ELSEWHERE))


class Shell:
    """Does the steps in a folder; what is started in the background ends with it."""

    def __init__(self, folder: Path, environment: Mapping[str, str], failing: str = "") -> None:
        """`failing` is the command that has to fail."""
        self.folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKER_", "TOPOLOGY_"))}
        self._environment = {**clean, "PATH": path, "COLUMNS": "200", **UNNEEDED, **environment}
        self._failing = failing
        self._running: dict[str, asyncio.subprocess.Process | Prepared] = {}
        self.said = ""
        """What all commands have said so far."""

    async def do(self, step: Step) -> None:
        """Write the file, run the command, which must succeed, or compare what was said."""
        if step.is_said:
            assert _dense(step.text) in _dense(self.said), f"{step.text}\nis not in\n{self.said}"
        elif step.file:
            (self.folder / step.file).write_text(step.text)
        elif step.text.startswith("cd "):
            self.folder /= step.text.removeprefix("cd ")
        elif step.text.startswith("export "):
            await self._export(step.text)
        elif step.text.endswith(BACKGROUND):
            await self._start_again(step.text)
        else:
            status, text = await self._done(step.text)
            assert status == (1 if step.text == self._failing else 0), f"{step.text}\n{text}"
            self.said += text

    async def _done(self, command: str) -> tuple[int | None, str]:
        """Run a command to its end: our own without a start of Python, where a shell would do nothing but start it."""
        if (words := _own_words(command)) is not None:
            done = await asyncio.to_thread(run, words, self._environment, folder=self.folder)
            return done.returncode, done.stdout + done.stderr
        process = await self._start(command, asyncio.subprocess.PIPE)
        text = (await process.communicate())[0].decode()
        return process.returncode, text

    async def _export(self, command: str) -> None:
        """Set variables, whose values may come from commands."""
        names = re.findall(r"(\w+)=", command)
        values = " ".join(f'"${name}"' for name in names)
        process = await self._start(f"{command}; printf '%s\\n' {values}", asyncio.subprocess.PIPE)
        said = (await process.communicate())[0].decode().splitlines()
        self._environment |= dict(zip(names, said, strict=True))

    async def _start_again(self, command: str) -> None:
        """Start in the background, in place of the same command; wait until its port is open, if it names one."""
        await self._end(command)
        if (words := _own_words(command)) is None:
            self._running[command] = await self._start(f"exec {command}", asyncio.subprocess.DEVNULL)
        else:
            self._running[command] = self._start_own(words)
        if port := re.search(r"(?:http\.server|--http-port) (\d+)", command):
            await eventually(lambda: is_open(int(port[1])), seconds=30, what=command)

    def _start_own(self, words: Sequence[str]) -> Prepared:
        with Path(os.devnull).open("r+b") as nowhere:
            end = nowhere.fileno()
            return start(words, self._environment, stdin=end, stdout=end, stderr=end, folder=self.folder)

    async def _start(self, command: str, output: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_shell(
            command,
            cwd=self.folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output if output == asyncio.subprocess.DEVNULL else asyncio.subprocess.STDOUT,
        )

    async def _end(self, command: str) -> None:
        if process := self._running.pop(command, None):
            if isinstance(process, Prepared):
                process.send_signal(signal.SIGTERM)
                await process.watched()
            else:
                process.terminate()
                await process.wait()

    async def end(self) -> None:
        """Stop what runs in the background."""
        for command in list(self._running):
            await self._end(command)


async def is_open(port: int) -> bool:
    """Whether somebody answers there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _own_words(command: str) -> list[str] | None:
    """Return what comes after our own name in a command; None for one in which a shell has more to do."""
    if command.startswith(OWN) and SYNTAX.isdisjoint(command):
        return shlex.split(command, comments=True)[1:]
    return None


def _dense(text: str) -> str:
    return "".join(text.split())
