"""`comparator` when its process is killed: in the middle of a message, and between its result and the broker."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conftest import MakeTopology, StartWorker
from support.comparing import Compared
from support.databases import MakeDatabase
from support.queues import ProcessMessage, Queues, process_message
from support.topologies import NodeEntry, custom_node, sink
from support.waiting import eventually

from connectors import Page
from connectors.storage import Storage
from worker.storage.opening import open_storage

KINDS = ["sqlite", "postgresql", "redis"]

KILLED = """
import asyncio, json, sys
from connectors import comparing
from connectors.message import Message
from connectors.nodes.comparator import Comparator
from connectors.nodes.compared import CompareRequest
from worker.storage.opening import open_storage

url, step, count, headers = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])

async def main():
    action = Comparator()
    action.storage = open_storage(url)
    store, left = action.storage.comparing._store, count
    of_store = getattr(store, step)

    async def told(*arguments):
        nonlocal left
        found = await of_store(*arguments)
        left -= 1
        if not left:
            print("now", flush=True)
            await asyncio.Event().wait()
        return found

    setattr(store, step, told)
    await action.process(Message(headers, sys.stdin.read(), CompareRequest.model_validate_json))

asyncio.run(main())
"""


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    """Where it is kept."""
    return str(request.getfixturevalue("redis_url")) if request.param == "redis" else make_database(request.param)


@pytest.fixture
async def storage(url: str) -> AsyncIterator[Storage]:
    """The storage of the worker that lives."""
    opened = open_storage(url)
    yield opened
    await opened.close()


def items(first: int, end: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": str(number), **more} for number in range(first, end)]


async def killed_at(url: str, step: str, count: int, message: dict[str, Any], headers: dict[str, str]) -> None:
    """Let a process work on a message until it has done a step so many times, then kill it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, url, step, str(count), json.dumps(headers)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(message).encode())
    process.stdin.close()
    assert await process.stdout.readline() == b"now\n"
    process.kill()
    await process.wait()


@pytest.mark.parametrize(("step", "count"), [("compare", 2), ("deleted", 1), ("end", 1)])
async def test_a_message_that_was_cut_off_tells_all_when_it_comes_again(
    url: str, storage: Storage, step: str, count: int
) -> None:
    compared = Compared(storage)
    await compared.changes(items(0, 2500))
    configuration = {"idField": "id", "masterKey": compared.master, "deleted": True, "isLast": True}
    message = {"items": items(1200, 2600, a=1), "configuration": configuration}
    headers = {"correlation-id": compared.master, "process-id": compared.master, "node-id": "n1"}
    await killed_at(url, step, count, message, headers)
    own = {"run": compared.master, "process": compared.master, "deleted": True, "isLast": True}
    told = await compared.compare(message["items"], **own)
    found = [part.data for part in (told.items if isinstance(told, Page) else [told.message])]
    ids = {
        name: sorted(int(x["id"] if name != "deleted" else x) for one in found for x in one[name]) for name in found[0]
    }
    assert ids == {
        "created": list(range(2500, 2600)),
        "updated": list(range(1200, 2500)),
        "deleted": list(range(1200)),
    }
    assert await compared.changes(items(1200, 2600, a=1), deleted=True, isLast=True) == ([], [], [])


async def test_workers_that_are_killed_tell_each_change(
    url: str, make_topology: MakeTopology, start_worker: StartWorker, queues: Queues, storage: Storage
) -> None:
    """Of each message there may be copies, which are the same; together they tell each change once."""
    node: NodeEntry = custom_node("compare", "comparator", "sink", prefetch=5)
    topology, compared = make_topology(node, sink()), Compared(storage)
    await compared.changes(items(0, 100))
    wanted = {"idField": "id", "masterKey": compared.master, "deleted": True, "totalCount": 200}
    bodies = [{"items": items(n, n + 10, a=1), "configuration": wanted} for n in range(50, 250, 10)]
    sent = [process_message(body, **{"correlation-id": compared.master}) for body in bodies]
    workers = [await start_worker(topology, storage_url=url) for _ in range(2)]
    publishing = asyncio.ensure_future(queues.publish(topology.exchange("compare"), *sent, *sent[:5]))
    await eventually(lambda: bool(workers[0].logged("worker_started")), what="a start")
    workers[0].signal(signal.SIGKILL)
    await workers[0].ended()
    await publishing
    told: dict[str, ProcessMessage] = {}
    while len(told) < len(sent):
        for message in await queues.read(topology.queue("sink"), 1):
            known = told.setdefault(message.headers["process-id"], message)
            assert known.data == message.data
    found = {name: [x for message in told.values() for x in message.data[name]] for name in ("created", "updated")}
    assert sorted(int(item["id"]) for item in found["created"]) == list(range(100, 250))
    assert sorted(int(item["id"]) for item in found["updated"]) == list(range(50, 100))
    deleted = [own for message in told.values() for own in message.data["deleted"]]
    assert sorted(map(int, deleted)) == list(range(50))
