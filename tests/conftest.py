"""Fixtures of the tests on a real broker.

One broker serves all tests: the one whose URL is given, else a container or a private node. Tests that stop and start
it get the same one when it is ours, else one of their own; such a test module lets `broker_url` be `own_broker.url`,
and everything below follows.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest
from structlog.testing import capture_logs
from support.databases import Databases, MakeDatabase
from support.proxy import Proxy
from support.queues import Queues
from support.topologies import NodeEntry, TopologyFile
from support.workers import InProcess, WorkerProcess

from connectors import secrets
from connectors.action import Action
from deploy.broker import Broker, provide_broker
from deploy.redis import PrivateRedis, private_redis

pytest_plugins = ("support.selection",)

hypothesis.settings.register_profile("without a bound of time", deadline=None)
hypothesis.settings.load_profile("without a bound of time")


class MakeTopology(Protocol):
    """Writes a topology file whose node ids are its own."""

    def __call__(self, *nodes: NodeEntry) -> TopologyFile: ...


class RunWorker(Protocol):
    """Runs a worker in the test's process until the test ends; returns when it is ready."""

    async def __call__(
        self, topology: TopologyFile, *actions: Action[Any, Any], is_awaited: bool = True, **settings: Any
    ) -> InProcess: ...


class StartWorker(Protocol):
    """Runs a worker in a process of its own until the test ends; returns when it is ready."""

    async def __call__(self, topology: TopologyFile, *, is_awaited: bool = True, **settings: Any) -> WorkerProcess: ...


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process forget what the workers of a test have to keep secret: the next test may use the same words."""
    monkeypatch.setattr(secrets, "_own", set(secrets._own))


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker which no test may stop."""
    with provide_broker() as provided:
        yield provided


@pytest.fixture(scope="session")
def startable_broker(broker: Broker) -> Iterator[Broker]:
    """A broker of ours; tests ask for `own_broker` instead."""
    if broker.is_ours:
        yield broker
    else:
        with provide_broker(ours_only=True) as provided:
            yield provided


@pytest.fixture
def own_broker(startable_broker: Broker) -> Iterator[Broker]:
    """A broker that the test may stop, kill and start; it runs again after the test."""
    yield startable_broker
    startable_broker.start()


@pytest.fixture(scope="session")
def broker_url(broker: Broker) -> str:
    """The broker that the fixtures below use."""
    return broker.url


@pytest.fixture
async def queues(broker_url: str) -> AsyncIterator[Queues]:
    """The test's own view of the broker."""
    opened = Queues(broker_url)
    yield opened
    await opened.close()


@pytest.fixture
async def proxy(broker_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the broker that breaks connections."""
    async with Proxy(broker_url).serve() as serving:
        yield serving


@pytest.fixture
async def make_topology(tmp_path: Path, queues: Queues) -> AsyncIterator[MakeTopology]:
    """Write topology files; what their nodes have on the broker is deleted after the test."""
    made: list[TopologyFile] = []

    def make(*nodes: NodeEntry) -> TopologyFile:
        made.append(TopologyFile(tmp_path, nodes))
        return made[-1]

    yield make
    for topology in made:
        for name in topology.names:
            await queues.delete(topology.exchange(name), topology.queue(name), topology.return_queue(name))


@pytest.fixture
async def run_worker(broker_url: str, make_topology: MakeTopology) -> AsyncIterator[RunWorker]:
    """Run workers in this process; they stop before their queues are deleted."""
    async with AsyncExitStack() as stack:

        async def run(
            topology: TopologyFile, *actions: Action[Any, Any], is_awaited: bool = True, **settings: Any
        ) -> InProcess:
            worker = InProcess(topology, *actions, **{"amqp_url": broker_url} | settings)
            return await stack.enter_async_context(worker.run(is_awaited=is_awaited))

        yield run


@pytest.fixture
async def start_worker(broker_url: str, make_topology: MakeTopology) -> AsyncIterator[StartWorker]:
    """Run workers in processes of their own; they stop before their queues are deleted."""
    async with AsyncExitStack() as stack:

        async def start(topology: TopologyFile, *, is_awaited: bool = True, **settings: Any) -> WorkerProcess:
            worker = WorkerProcess(topology, **{"amqp_url": broker_url} | settings)
            return await stack.enter_async_context(worker.run(is_awaited=is_awaited))

        yield start


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The database servers of the session."""
    made = Databases()
    yield made
    made.close()


@pytest.fixture
def make_database(databases: Databases, tmp_path: Path) -> MakeDatabase:
    """Make empty databases: `sqlite`, `postgresql`, `mongodb`; returns their URLs."""
    return lambda kind: databases.make(kind, tmp_path)


@pytest.fixture(scope="session")
def redis() -> Iterator[PrivateRedis]:
    """A Redis which no test may stop."""
    with private_redis() as server:
        yield server


@pytest.fixture
def redis_url(redis: PrivateRedis) -> str:
    """The Redis of the session."""
    return redis.url


@pytest.fixture
def own_redis() -> Iterator[PrivateRedis]:
    """A Redis that the test may stop, kill and start."""
    with private_redis() as server:
        yield server


@pytest.fixture
def log_lines() -> Iterator[Sequence[Mapping[str, Any]]]:
    """What workers in this process log, line by line."""
    with capture_logs() as lines:
        yield lines
