"""A batch that pages while its worker is killed: every item arrives, and copies can be told."""

import signal
import threading
from collections import defaultdict

from aiohttp import web
from conftest import MakeTopology, RunWorker, StartWorker
from support.paged import Rows, double
from support.queues import Queues, process_message
from support.services import serving
from support.topologies import NodeEntry, custom_node, sink

from connectors import custom_node as node_of

PAGES, SIZE = 12, 20
BATCH = NodeEntry("rows", ("double",), "worker.batch", settings={"actionPath": "/batch/rows/action"})


def page_of(request: web.Request) -> web.Response:
    page = int(request.query["page"])
    assert request.query["per_page"] == str(SIZE)
    rows = range((page - 1) * SIZE, min(page * SIZE, PAGES * SIZE - 1))
    return web.json_response([{"id": number} for number in rows])


async def test_a_batch_whose_worker_is_killed_resumes_at_its_page(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(BATCH, custom_node("double", "double", "sink"), sink())
    worker = await start_worker(topology, actions="support.paged")
    asked: list[int] = []
    kills = {3, 6, 10}

    async def answer(request: web.Request) -> web.StreamResponse:
        page = int(request.query["page"])
        asked.append(page)
        if page in kills:
            kills.remove(page)
            worker.signal(signal.SIGKILL)
            await worker.ended()
            await worker.start()
        return page_of(request)

    async with serving(answer) as url:
        await queues.publish(topology.exchange("rows"), process_message({"url": f"{url}/rows"}))
        found: dict[int, set[str]] = defaultdict(set)
        while len(found) < PAGES * SIZE - 1:
            (message,) = await queues.read(topology.queue("sink"), 1, seconds=30)
            assert message.data["twice"] == message.data["id"] * 2
            found[message.data["id"]].add(message.headers["process-id"])
    assert sorted(found) == list(range(PAGES * SIZE - 1))
    assert all(len(ids) == 1 for ids in found.values())
    assert not kills
    assert asked[0] == 1
    assert sorted(set(asked)) == list(range(1, PAGES + 1))


async def test_items_carry_their_own_user_and_limits_and_nothing_of_the_paging(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(BATCH, custom_node("double", "double", "sink"), sink())
    await run_worker(topology, Rows(), double)

    async def answer(request: web.Request) -> web.StreamResponse:
        return page_of(request)

    async with serving(answer) as url:
        await queues.publish(topology.exchange("rows"), process_message({"url": f"{url}/rows"}, user="root"))
        messages = await queues.read(topology.queue("sink"), PAGES * SIZE - 1)
    for message in messages:
        user = f"user-{message.data['id'] % 3}"
        assert message.headers["user"] == user
        assert message.headers["limiter-key"] == f"{user}|shop;1;100;|shop;1;500"
        assert not [name for name in message.headers if name.startswith("cursor")]


async def test_a_function_in_a_thread_holds_up_nobody(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    both = threading.Barrier(2, timeout=10)

    @node_of("meet")
    def meet(data: int) -> int:
        both.wait()
        return data

    topology = make_topology(custom_node("meet", "meet", "sink"), sink())
    await run_worker(topology, meet)
    await queues.publish(topology.exchange("meet"), process_message(1), process_message(2))
    assert sorted(message.data for message in await queues.read(topology.queue("sink"), 2)) == [1, 2]
