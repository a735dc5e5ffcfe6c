"""The worker inside somebody's own service."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MakeTopology
from support.queues import Queues, process_message
from support.topologies import pass_on
from support.waiting import eventually

from deploy.ports import free_ports
from worker import Registry, Worker, load_settings

ROOT = Path(__file__).resolve().parent.parent.parent
NODES = ("embedding-start", "embedding-shelve")


@pytest.fixture
async def service(broker_url: str, queues: Queues, tmp_path: Path) -> AsyncIterator[tuple[Any, str]]:
    """Start the example; yields its process and URL."""
    (port,) = free_ports(1)
    own = {
        "PORT": str(port),
        "WORKER_AMQP_URL": broker_url,
        "WORKER_TRASH_URL": f"sqlite:///{tmp_path}/trash.sqlite",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.embedding", cwd=ROOT, env={**os.environ, **own}
    )
    yield process, f"http://127.0.0.1:{port}"
    if process.returncode is None:
        process.kill()
        await process.wait()
    for node in NODES:
        await queues.delete(f"node.{node}.hx", f"node.{node}.1")


async def test_the_example_serves_and_works_until_it_is_stopped(service: tuple[Any, str], queues: Queues) -> None:
    process, url = service
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:

        async def is_ready() -> bool:
            try:
                return (await client.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        async def orders() -> Any:
            return (await client.get("/orders")).json()

        await eventually(is_ready, seconds=30, what="a ready service")
        await queues.publish("node.embedding-start.hx", process_message({"id": 17, "total": 9.5}))
        assert await eventually(orders, what="an order on the shelf") == [{"id": 17, "total": 9.5}]
        assert 'orchesty_worker_messages_total{topology="embedding"' in (await client.get("/metrics")).text
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_without_http_a_worker_opens_no_port(make_topology: MakeTopology, broker_url: str) -> None:
    (port,) = free_ports(1)
    topology = make_topology(pass_on("start"))
    settings = load_settings(
        topology=topology.path,
        amqp_url=broker_url,
        http_host="127.0.0.1",
        http_port=port,
        trash_url=f"sqlite:///{topology.path.with_suffix('.sqlite')}",
    )
    worker = Worker(settings, registry=Registry(), answers_http=False)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        await eventually(lambda: worker.is_ready, what="a ready worker")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        worker.stop()
