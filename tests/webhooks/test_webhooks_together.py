"""Services call several processes: a delivery starts one run, whichever of them it comes to and whichever dies."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MakeTopology, RunWorker, StartWorker
from sqlalchemy import func, select
from support.accounts import KEY, database_of, install, opened, webhooks_of
from support.databases import MakeDatabase
from support.hooks import Hear, Shouter, ShouterServer
from support.proxy import Proxy
from support.queues import Queues
from support.topologies import TopologyFile, pass_on, sink
from support.waiting import eventually

from applications.accounts import Accounts
from worker.accounts.tables import deliveries
from worker.webhooks.subscriptions import subscribe


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    return make_database(request.param)


@pytest.fixture
async def server() -> AsyncIterator[ShouterServer]:
    async with ShouterServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(url: str, tmp_path: Path, server: ShouterServer) -> AsyncIterator[Accounts]:
    async with opened(url, tmp_path) as found:
        await install(found, Shouter, server=server.base_url, token="t")
        yield found


@pytest.fixture
def topology(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(pass_on("start", "sink"), sink())


@pytest.fixture
def own(url: str, tmp_path: Path) -> dict[str, Any]:
    return {"installs_url": url, "secret_keys": KEY, "token_journal": tmp_path}


async def subscribed(accounts: Accounts, topology: TopologyFile, port: int) -> None:
    place = {"topology": topology.id, "node": topology.node_id("start")}
    await subscribe(
        accounts,
        webhooks_of(accounts),
        Shouter,
        "alice",
        "order",
        public_url=f"http://127.0.0.1:{port}",
        parameters={},
        **place,
    )


async def test_what_comes_to_two_processes_at_the_same_moment_starts_once(
    topology: TopologyFile, start_worker: StartWorker, queues: Queues, accounts: Accounts, server: ShouterServer,
    own: dict[str, Any],
) -> None:  # fmt: skip
    front = await start_worker(topology, processes=2, actions="support.hooks", **own)
    await subscribed(accounts, topology, front.port)

    async def delivered(delivery: str) -> str:
        while (answer := await server.call("1", b"{}", delivery=delivery)).status_code == 503:
            pass
        return str(answer.json()["status"])

    said = await asyncio.gather(*(delivered(f"d{number // 2}") for number in range(40)))
    assert [set(said), said.count("started")] == [{"started", "was started before"}, 20]
    await queues.read(topology.queue("sink"), 20)
    assert not await queues.length(topology.queue("sink"))


async def test_what_a_process_claimed_that_died_before_it_was_started_is_started_by_another(
    topology: TopologyFile, start_worker: StartWorker, run_worker: RunWorker, queues: Queues, accounts: Accounts,
    server: ShouterServer, own: dict[str, Any], proxy: Proxy, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    winner = await start_worker(topology, actions="support.hooks", amqp_url=proxy.url, **own)
    await subscribed(accounts, topology, winner.port)
    proxy.blackhole()
    asked = asyncio.create_task(server.call("1", b"{}", delivery="d1"))

    async def is_claimed() -> bool:
        async with database_of(accounts).transaction() as connection:
            return bool((await connection.execute(select(func.count()).select_from(deliveries))).scalar())

    await eventually(is_claimed, what="the winner's claim")
    winner.signal(signal.SIGKILL)
    await winner.ended()
    with pytest.raises(httpx.TransportError):
        await asked
    other = await run_worker(topology, Hear(), **own)
    server.hooks["1"]["url"] = server.hooks["1"]["url"].replace(f":{winner.port}/", f":{other.port}/")
    assert (await server.call("1", b"{}", delivery="d1")).status_code == 503
    monkeypatch.setattr("worker.webhooks.deliveries.CLAIM_MS", 0)  # as if its time had passed
    assert (await server.call("1", b"{}", delivery="d1")).json() == {"status": "started"}
    assert (await server.call("1", b"{}", delivery="d1")).json() == {"status": "was started before"}
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert json.loads(message.headers["webhook-headers"])["x-delivery"] == "d1"
    assert not await queues.length(topology.queue("sink"))
