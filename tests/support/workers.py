"""Workers of the tests: in this process, and in one of their own."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from connectors.action import Action
from deploy.ports import free_ports
from support import prepared
from support.services import LOOPBACK
from support.topologies import TopologyFile
from support.waiting import eventually, in_time
from worker import Registry, Worker, load_settings

TESTS = Path(__file__).parent.parent
START_SECONDS = 30
STOP_SECONDS = 30
ACTIONS = "support.actions"
STDOUT = 1


class Probed:
    """Something that answers the worker's probes."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)

    async def probe(self, path: str = "/readyz") -> tuple[int, Mapping[str, Any]]:
        """Return status and body; status 0 while nobody listens."""
        try:
            async with httpx.AsyncClient(trust_env=False, verify=False) as client:
                answer = await client.get(f"http://127.0.0.1:{self.port}{path}")
        except httpx.TransportError:
            return 0, {}
        return answer.status_code, answer.json()

    async def get(self, path: str) -> str:
        """Return what is answered, as text."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.port}{path}")).raise_for_status().text

    async def has_status(self, status: int, path: str = "/healthz") -> bool:
        """Whether a probe answers with this status."""
        return (await self.probe(path))[0] == status

    async def in_work(self) -> int:
        """Count the messages in work."""
        return int((await self.probe())[1].get("inWork", 0))


class InProcess(Probed):
    """A worker in the test's own process and event loop."""

    def __init__(self, topology: TopologyFile, *actions: Action[Any, Any], **settings: Any) -> None:
        super().__init__()
        chosen = {
            "topology": topology.path,
            "nodes": topology.consumed,
            "http_host": "127.0.0.1",
            "http_port": self.port,
            "trash_url": f"sqlite:///{topology.path.with_suffix('.sqlite')}",
            "database_url": topology.state_url,
            "grace": 2,
            "egress_allow": LOOPBACK,
        }
        self.worker = Worker(load_settings(**chosen | settings), registry=Registry(actions))

    async def command(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run `orchesty-worker` with the settings of this worker; return what it prints."""
        settings = self.worker.settings
        assert settings.amqp_url is not None
        own = {
            "WORKER_AMQP_URL": settings.amqp_url.get_secret_value(),
            "WORKER_TRASH_URL": settings.trash_address,
            "WORKER_DATABASE_URL": settings.process_address,
            "TOPOLOGY_JSON": str(settings.topology),
        }
        done = await asyncio.to_thread(prepared.run, arguments, {**os.environ, **own, **environment})
        text = done.stdout + done.stderr
        assert done.returncode == status, text
        return text

    @property
    def is_ready(self) -> bool:
        """Whether every node is consumed and results can be published."""
        return self.worker.is_ready

    @asynccontextmanager
    async def run(self, *, is_awaited: bool = True) -> AsyncIterator["InProcess"]:
        """Run until the context ends, which waits until the worker is ready unless told otherwise."""
        running = asyncio.ensure_future(self.worker.run())
        try:
            if is_awaited:
                await eventually(lambda: self.is_ready or running.done(), seconds=START_SECONDS, what="a ready worker")
            yield self
        finally:
            self.worker.stop()
            await running


class WorkerProcess(Probed):
    """A worker in a process of its own, started by its command."""

    def __init__(
        self, topology: TopologyFile, *, arguments: Sequence[str] = (), python_path: Path = TESTS, **settings: Any
    ) -> None:
        super().__init__()
        self._arguments = arguments
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WORKER_")}
        chosen = {
            "nodes": ",".join(topology.consumed),
            "actions": ACTIONS,
            "http_host": "127.0.0.1",
            "http_port": self.port,
            "trash_url": f"sqlite:///{topology.path.with_suffix('.sqlite')}",
            "database_url": topology.state_url,
            "log_format": "json",
            "egress_allow": LOOPBACK,
        }
        own = {f"WORKER_{name.upper()}": str(value) for name, value in (chosen | settings).items()}
        self._environment = inherited | own | {"TOPOLOGY_JSON": str(topology.path), "PYTHONPATH": str(python_path)}
        self.lines: list[dict[str, Any]] = []
        """The log so far; text that is no JSON stands under `text`."""

    @asynccontextmanager
    async def run(self, *, is_awaited: bool = True) -> AsyncIterator["WorkerProcess"]:
        """Start, wait for `/readyz` unless told otherwise, and stop at the end if nobody has."""
        await self.start()
        try:
            if is_awaited:
                await self.wait_until_ready()
            yield self
        finally:
            await self.end()

    async def start(self) -> None:
        """Start it, again if it has ended."""
        log, writing = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        arguments = ["run", *self._arguments]
        self._process = prepared.start(
            arguments, self._environment, stdin=nothing, stdout=STDOUT, stderr=writing, folder=TESTS.parent
        )
        os.close(nothing)
        os.close(writing)
        self._ended = self._process.watched()
        reader = asyncio.StreamReader(limit=2**24)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(log, "rb", buffering=0)
        )
        self._reading = asyncio.ensure_future(self._read_log(reader))

    async def wait_until_ready(self) -> None:
        """Return when `/readyz` says 200."""

        async def is_ready() -> bool:
            assert self._process.returncode is None, f"the worker has ended:\n{self.lines[-20:]}"
            return await self.has_status(200, "/readyz")

        await eventually(is_ready, seconds=START_SECONDS, what="a ready worker")

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def ended(self, *, seconds: float = STOP_SECONDS) -> int:
        """Return the exit status. Raises `TimeoutError` when it goes on."""

        async def end() -> int:
            status = await asyncio.shield(self._ended)
            await self._reading
            return status

        return await in_time(end(), seconds=seconds)

    async def end(self) -> None:
        """Stop it, and kill it when that takes too long."""
        if self._process.returncode is None:
            self.signal()
        try:
            await self.ended()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended()
            raise

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines with this event."""
        return [line for line in self.lines if line.get("event") == event]

    async def _read_log(self, log: asyncio.StreamReader) -> None:
        async for line in log:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"text": line.decode(errors="replace")})
