"""The worker inside somebody's own service."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MakeTopology
from support.pages import names_of
from support.queues import Queues, process_message
from support.topologies import TopologyFile, custom_node, pass_on
from support.waiting import eventually
from support.workers import Probed

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


@pytest.fixture
def page_names(
    make_topology: MakeTopology, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Mapping[str, Any], TopologyFile, Probed]:
    """What the page defines, in a folder with a topology.json as it expects it."""
    topology = make_topology(custom_node("count", "count-orders", "sink"), pass_on("sink"))
    (tmp_path / "topology.json").write_text(topology.path.read_text())
    probed = Probed()
    monkeypatch.chdir(tmp_path)
    for name, value in {"AMQP_URL": broker_url, "HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(probed.port)}.items():
        monkeypatch.setenv(f"WORKER_{name}", value)
    return names_of(ROOT / "docs" / "embedding.md"), topology, probed


async def test_the_worker_of_the_page_counts_orders(
    page_names: tuple[Mapping[str, Any], TopologyFile, Probed], queues: Queues
) -> None:
    names, topology, probed = page_names
    counts: dict[str, int] = {}
    serving = asyncio.ensure_future(names["serve"](counts))
    await eventually(lambda: probed.has_status(200, "/readyz"), what="a ready worker")
    await queues.publish(topology.exchange("count"), process_message({"shop": "eu"}))
    await eventually(lambda: counts, what="an order")
    assert counts == {"eu": 1}
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_the_stages_of_the_page_stand_around_each_node(
    page_names: tuple[Mapping[str, Any], TopologyFile, Probed],
    queues: Queues,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Sequence[Mapping[str, Any]],
) -> None:
    names, topology, _ = page_names
    monkeypatch.setenv("WORKER_NODES", topology.node_id("sink"))
    worker = names["worker_with_stages"]()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        await eventually(lambda: worker.is_ready, what="a ready worker")
        await queues.publish(topology.exchange("sink"), process_message({}))
        visited = await eventually(
            lambda: [line for line in log_lines if line["event"] == "node_visited"], what="a visit"
        )
        assert [line["outcome"] for line in visited] == ["Forward"]
        worker.stop()
