"""Several people, and workers that die: each approved message goes through exactly once."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from conftest import MakeTopology
from support.databases import KINDS, MakeDatabase
from support.entries import numbered
from support.proxy import Lost, Proxy
from support.queues import Queues
from support.topologies import TopologyFile, pass_on

from worker.trash.entry import EntryState
from worker.trash.opening import open_trash
from worker.trash.store import CLAIM_MS, Claim, Search, TrashStore

COUNT = 1000


async def approve_all(
    url: str, broker_url: str, *, stderr: int = asyncio.subprocess.PIPE
) -> asyncio.subprocess.Process:
    environment = {**os.environ, "WORKER_TRASH_URL": url, "WORKER_AMQP_URL": broker_url}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "trash", "approve", "--all", "--yes"),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_two_terminals_approve_the_same_entries_and_each_goes_through_once(
    make_database: MakeDatabase, make_topology: MakeTopology, queues: Queues, broker_url: str, kind: str
) -> None:
    topology = make_topology(pass_on("start"))
    exchange, queue = topology.exchange("start"), topology.queue("start")
    await queues.declare(exchange, queue)
    url = make_database(kind)
    store = open_trash(url)
    for number in range(COUNT):
        await store.put(numbered(number, body=json.dumps(number), return_exchange=exchange))
    terminals = [await approve_all(url, broker_url) for _ in range(2)]
    texts = [await terminal.communicate() for terminal in terminals]
    assert [terminal.returncode for terminal in terminals] == [0, 0], texts
    arrived = Counter(message.data for message in await queues.read_all(queue))
    assert arrived == Counter(range(COUNT))
    assert len(await store.ids(Search(states=frozenset({EntryState.APPROVED})))) == COUNT
    assert await store.ids(Search()) == []
    await store.close()


@asynccontextmanager
async def stuck_command(
    make_database: MakeDatabase, topology: TopologyFile, queues: Queues, proxy: Proxy
) -> AsyncIterator[tuple[TrashStore, asyncio.subprocess.Process]]:
    """Run a command whose message has arrived, and whose confirm will not come."""
    await queues.declare(topology.exchange("start"), topology.queue("start"))
    url = make_database("sqlite")
    store = open_trash(url)
    await store.put(numbered(1, body="1", return_exchange=topology.exchange("start")))
    with proxy.losing(Lost.CONFIRM, after=1):  # the first one tells that the broker can serve
        command = await approve_all(url, proxy.url, stderr=asyncio.subprocess.DEVNULL)
        assert [message.data for message in await queues.read(topology.queue("start"), 1, seconds=30)] == [1]
        yield store, command
    await store.close()


async def test_entries_of_a_killed_command_can_be_approved_after_its_claim_is_over(
    make_database: MakeDatabase, make_topology: MakeTopology, queues: Queues, proxy: Proxy
) -> None:
    topology = make_topology(pass_on("start"))
    async with stuck_command(make_database, topology, queues, proxy) as (store, command):
        command.send_signal(signal.SIGKILL)
        await command.wait()
        (entry,) = await store.load(await store.ids(Search()))
        assert (entry.state, str(entry.changed_by).endswith(f":{command.pid}")) == (EntryState.CLAIMED, True)
        claim = Claim.now()
        assert await store.claim([entry.id], claim) == []
        later = Claim("later", "test", claim.at + 2 * CLAIM_MS)
        assert [one.id for one in await store.claim([entry.id], later)] == [entry.id]


async def test_an_interrupted_command_leaves_nothing_claimed(
    make_database: MakeDatabase, make_topology: MakeTopology, queues: Queues, proxy: Proxy
) -> None:
    topology = make_topology(pass_on("start"))
    async with stuck_command(make_database, topology, queues, proxy) as (store, command):
        command.send_signal(signal.SIGINT)
        assert await command.wait() != 0
        assert [entry.state for entry in await store.waiting()] == [EntryState.WAITING]
