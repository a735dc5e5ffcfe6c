"""How the platform starts and ends a worker that stands in the place of its own."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiormq.exceptions import ChannelNotFoundEntity
from conftest import MakeTopology, RunWorker, StartWorker
from support.queues import Queues, process_message
from support.topologies import TopologyFile, custom_node, pass_on, sink
from support.waiting import eventually, in_time
from support.workers import Probed

from deploy.ports import free_ports
from worker.app.ends import DONE

ROOT = Path(__file__).parent.parent.parent
KEY = "hunter2"
PLATFORM: dict[str, Any] = {"mode": "platform", "orchesty_api_key": KEY}


async def delete(worker: Probed, path: str, key: str | None = None) -> tuple[int, str]:
    headers = {"orchesty-api-key": key} if key else {}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.delete(f"http://127.0.0.1:{worker.port}{path}", headers=headers)
    return answer.status_code, answer.text


@pytest.fixture
def topology(make_topology: MakeTopology) -> TopologyFile:
    """Two nodes, one of which keeps the order of keys: it has queues of its own for that."""
    ordered = custom_node("ordered", "copy", "sink", orderBy="header:user")
    return make_topology(pass_on("start", "ordered"), ordered, sink())


async def exists(queues: Queues, topology: TopologyFile) -> list[str]:
    """Return the queues and exchanges of the two nodes that there are."""
    found = []
    ids = [topology.node_id(name) for name in ("start", "ordered")]
    names = [f"node.{own}.{end}" for own in ids for end in ("1", "order.1", "order.workers", "hx", "keys")]
    for name in names:
        channel = await queues.channel()
        declare = channel.exchange_declare if name.endswith(("hx", "keys")) else channel.queue_declare
        with suppress(ChannelNotFoundEntity):  # which closes the channel
            await declare(name, passive=True)
            found.append(name)
    return found


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_worker_that_is_closed_leaves_its_queues_as_they_are(
    topology: TopologyFile, start_worker: StartWorker, queues: Queues, processes: int
) -> None:
    worker = await start_worker(topology, processes=processes, **PLATFORM)
    before = await exists(queues, topology)
    assert await delete(worker, "/close") == (200, DONE)
    assert await worker.ended() == 0
    assert await exists(queues, topology) == before


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_topology_that_is_destroyed_has_nothing_on_the_broker_any_more(
    topology: TopologyFile, start_worker: StartWorker, queues: Queues, processes: int
) -> None:
    worker = await start_worker(topology, processes=processes, **PLATFORM)
    assert len(await exists(queues, topology)) == 7
    assert [await delete(worker, "/api/destroy", key) for key in (None, "wrong")] == [(401, ""), (401, "")]
    await worker.wait_until_ready()
    assert await delete(worker, "/api/destroy", KEY) == (200, DONE)
    assert await exists(queues, topology) == []
    assert await worker.ended() == 0


async def test_what_is_in_work_finishes_before_the_queues_are_deleted(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("work", "sleep", "sink"), sink())
    await queues.declare(topology.exchange("sink"), topology.queue("sink"))
    worker = await start_worker(topology, nodes="work", **PLATFORM)
    await queues.publish(topology.exchange("work"), process_message({"seconds": 1}))
    await eventually(worker.in_work, what="a message in work")
    assert await delete(worker, "/close") == (200, DONE)
    assert await worker.ended() == 0
    assert len(await queues.read(topology.queue("sink"), 1)) == 1


async def test_queues_that_cannot_be_deleted_are_told_and_the_worker_ends(
    make_topology: MakeTopology, start_worker: StartWorker
) -> None:
    (nobody,) = free_ports(1)
    url = f"amqp://guest:guest@127.0.0.1:{nobody}/"
    worker = await start_worker(make_topology(pass_on("start")), is_awaited=False, amqp_url=url, **PLATFORM)
    await eventually(lambda: worker.has_status(503), what="a worker that listens")
    status, text = await delete(worker, "/api/destroy", KEY)
    assert status == 502
    assert "the queues are not deleted" in text
    assert await worker.ended() == 0
    assert len(worker.logged("topology_not_destroyed")) == 1


@pytest.mark.parametrize("processes", [1, 2])
async def test_who_may_not_call_ends_nothing(topology: TopologyFile, start_worker: StartWorker, processes: int) -> None:
    worker = await start_worker(topology, processes=processes, service_allow="10.0.0.0/8", **PLATFORM)
    assert (await delete(worker, "/close"))[0] == 403
    assert (await delete(worker, "/close", KEY))[0] == 200
    assert await worker.ended() == 0


@pytest.mark.parametrize("path", ["/close", "/api/destroy"])
async def test_a_worker_of_its_own_is_not_ended_over_http(
    make_topology: MakeTopology, run_worker: RunWorker, path: str
) -> None:
    worker = await run_worker(make_topology(pass_on("start")), orchesty_api_key=KEY)
    assert (await delete(worker, path, KEY))[0] in {404, 405}
    assert worker.is_ready


async def test_the_launcher_needs_no_setting_but_what_the_platform_gives(
    topology: TopologyFile, broker_url: str, tmp_path: Path
) -> None:
    worker = Probed()
    given = {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "ORCHESTY_API_KEY": KEY,
        "TOPOLOGY_JSON": str(topology.path),
        # What the image and the topology have elsewhere:
        "WORKER_AMQP_URL": broker_url,
        "WORKER_HTTP_PORT": str(worker.port),
        "WORKER_HTTP_HOST": "127.0.0.1",
        "WORKER_NODES": "start",
    }
    started = await asyncio.create_subprocess_exec(
        str(ROOT / "deploy/bridge"), "start", env=given, cwd=tmp_path, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await eventually(lambda: worker.has_status(200, "/readyz"), seconds=30, what="a ready worker")
        assert await delete(worker, "/close") == (200, DONE)
        assert await in_time(started.wait(), seconds=30) == 0
    finally:
        if started.returncode is None:
            started.kill()


async def test_the_launcher_does_nothing_else() -> None:
    asked = await asyncio.create_subprocess_exec(str(ROOT / "deploy/bridge"), stderr=asyncio.subprocess.PIPE)
    _, told = await asked.communicate()
    assert (asked.returncode, told) == (2, b"usage: bridge start\n")
