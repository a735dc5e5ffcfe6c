"""Running `orchesty-worker` as a person would, in a process of its own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rich.console import Console

from examples.demo.errors import DemonstrationFailed


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands with these variables in their environment. Raises `DemonstrationFailed` for any status but 0."""

    console: Console
    variables: Mapping[str, str]

    async def show(self, *arguments: str) -> None:
        """Run a command before the spectator's eyes."""
        self.console.print(f"\n$ orchesty-worker {' '.join(arguments)}", style="bold", markup=False)
        await self._run(arguments, stdout=None)

    async def ask(self, *arguments: str) -> str:
        """Run a command and return what it prints."""
        return await self._run(arguments, stdout=PIPE)

    async def _run(self, arguments: tuple[str, ...], *, stdout: int | None) -> str:
        async with self._started(arguments, stdout) as process:
            output, _ = await process.communicate()
        if process.returncode:
            raise DemonstrationFailed(f"orchesty-worker {' '.join(arguments)} ended with status {process.returncode}")
        return (output or b"").decode()

    @asynccontextmanager
    async def _started(self, arguments: tuple[str, ...], stdout: int | None) -> AsyncIterator[Process]:
        environment = {**os.environ, "COLUMNS": str(self.console.width), **self.variables}
        command = [sys.executable, "-m", "worker", *arguments]
        process = await asyncio.create_subprocess_exec(*command, stdout=stdout, env=environment)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
