"""Messages on a real broker, from one queue to the next."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import uuid4

from aiohttp import web
from conftest import MakeTopology, RunWorker
from support.actions import Copy, RepeatOnce
from support.queues import Queues, bodies, process_message
from support.services import serving
from support.topologies import NodeEntry, connector, custom_node, pass_on, sink
from support.waiting import eventually
from support.workers import InProcess

from connectors import Batch, Connector, Message, Page, Trash
from deploy.ports import free_ports
from worker.trash.entry import Entry, EntryType
from worker.trash.store import TrashStore


class Count(Batch[Any, int]):
    """Three pages of two numbers."""

    name = "count"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        first = int(cursor or 0)
        return Page([first, first + 1], next_cursor=str(first + 2) if first < 4 else None)


class Refuse(Connector[Any, Any]):
    """Sends every message to the trash until it is told to let them pass."""

    name = "refuse"
    is_open = False

    async def process(self, message: Message[Any]) -> Message[Any]:
        if not self.is_open:
            raise Trash("no stock")
        return message


async def entries(worker: InProcess) -> list[Entry]:
    store: TrashStore = worker.worker.handler.trash.store
    return list(await store.waiting())


async def one_entry(worker: InProcess) -> Entry:
    async def only() -> Entry | None:
        found = await entries(worker)
        return found[0] if len(found) == 1 else None

    return await eventually(only, what="an entry in the trash")


async def test_messages_keep_their_order_on_nodes_with_a_prefetch_of_one(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(
        pass_on("start", "copy", prefetch=1), custom_node("copy", "copy", "sink", prefetch=1), sink()
    )
    await run_worker(topology, Copy())
    await queues.publish(topology.exchange("start"), *(process_message(number) for number in range(200)))
    messages = await queues.read(topology.queue("sink"), 200)
    assert [message.data for message in messages] == list(range(200))
    assert messages[0].headers["previous-node-id"] == topology.node_id("copy")


async def test_a_follower_that_is_no_node_of_the_file_is_published_to(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "elsewhere"))
    await queues.declare(topology.exchange("elsewhere"), topology.queue("elsewhere"))
    await run_worker(topology)
    await queues.publish(topology.exchange("start"), process_message("x"))
    assert bodies(await queues.read(topology.queue("elsewhere"), 1)) == ["x"]


async def test_a_queue_with_other_arguments_is_used_as_it_is(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, log_lines: list[dict[str, Any]]
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    await queues.declare(topology.exchange("start"), topology.queue("start"), {"x-queue-type": "classic"})
    await run_worker(topology)
    await queues.publish(topology.exchange("start"), process_message("x"))
    assert bodies(await queues.read(topology.queue("sink"), 1)) == ["x"]
    (line,) = (line for line in log_lines if line["event"] == "broker_object_differs")
    assert line["object"] == f"queue {topology.queue('start')}"
    assert "'x-queue-type'" in line["difference"]


async def test_only_the_chosen_nodes_are_consumed(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "next"), pass_on("next", "sink"), sink())
    await run_worker(topology, nodes=("start",))
    await queues.publish(topology.exchange("start"), process_message("x"))
    assert bodies(await queues.read(topology.queue("next"), 1)) == ["x"]


async def test_a_batch_pages_to_its_end(make_topology: MakeTopology, run_worker: RunWorker, queues: Queues) -> None:
    batch = NodeEntry("count", ("a", "b"), "worker.batch", settings={"actionPath": "/batch/count/action"})
    topology = make_topology(batch, sink("a"), sink("b"))
    await run_worker(topology, Count())
    await queues.publish(topology.exchange("count"), process_message(None))
    received = [*await queues.read(topology.queue("a"), 6), *await queues.read(topology.queue("b"), 6)]
    assert [message.data for message in received] == [0, 1, 2, 3, 4, 5] * 2
    assert len({message.headers["process-id"] for message in received}) == 12


async def test_a_repeated_message_comes_back_after_its_delay(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("again", "repeat-once", "sink"), sink())
    worker = await run_worker(topology, RepeatOnce())
    await queues.publish(topology.exchange("again"), process_message({"seconds": 1}))
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert "repeat-hops" not in message.headers
    assert worker.worker.counts[topology.node_id("again"), "repeated"] == 1


async def test_a_trashed_message_goes_through_once_it_is_approved(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(connector("shop", "refuse", "sink"), sink())
    action = Refuse()
    worker = await run_worker(topology, action)
    await queues.publish(topology.exchange("shop"), process_message({"order": 17}, user="alice"))
    entry = await one_entry(worker)
    assert (entry.reason, entry.user, entry.body) == ("no stock", "alice", '{"order": 17}')
    action.is_open = True
    await approve(worker, entry)
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert message.data == {"order": 17}
    assert "user-task-state" not in message.headers
    assert await entries(worker) == []


async def test_a_user_task_waits_for_a_person_and_then_goes_on(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(NodeEntry("ask", ("sink",), "worker.user"), sink())
    worker = await run_worker(topology)
    await queues.publish(
        topology.exchange("ask"), process_message("x", source="ui"), process_message("y", source="auto")
    )
    entry = await one_entry(worker)
    assert entry.type is EntryType.USER_TASK
    assert bodies(await queues.read(topology.queue("sink"), 1)) == ["y"]
    await approve(worker, entry)
    assert bodies(await queues.read(topology.queue("sink"), 1)) == ["x"]


async def test_an_unreachable_service_is_asked_again_without_a_redelivery(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    statuses = [503, 503, 200]

    async def answer(request: web.Request) -> web.Response:
        sent = await request.json()
        sent["headers"]["result-code"] = "0"
        return web.json_response(sent, status=statuses.pop(0))

    async with serving(answer) as url:
        topology = make_topology(connector("remote", "remote", "sink", url=url), sink())
        worker = await run_worker(topology)
        await queues.publish(topology.exchange("remote"), process_message("x"))
        assert bodies(await queues.read(topology.queue("sink"), 1)) == ["x"]
    assert worker.worker.counts[topology.node_id("remote"), "arrived"] == 1


async def test_a_run_is_given_up_after_too_many_rounds(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    calls: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        calls.append((await request.json())["headers"]["correlation-id"])
        return web.Response(status=502)

    async with serving(answer) as url:
        topology = make_topology(connector("remote", "remote", "sink", url=url), sink())
        worker = await run_worker(topology, max_failures=2)
        run = str(uuid4())
        message = process_message("x", **{"correlation-id": run})
        await queues.publish(topology.exchange("remote"), message)
        entry = await one_entry(worker)
        assert entry.reason == "result status [502], correlationId poisoned after 2 failures"
        await queues.publish(topology.exchange("remote"), process_message("y", **{"correlation-id": run}))

        async def both() -> bool:
            return len(await entries(worker)) == 2

        await eventually(both, what="the second message of the run in the trash")
    assert (await entries(worker))[1].reason == "worker unavailable, correlationId poisoned"
    assert calls == [run, run]
    causes = [line["cause"] for line in log_lines if line["event"] == "run_given_up"]
    assert causes == [f"{url}/connector/remote/action answered 502"]


async def test_a_run_whose_service_is_away_is_given_up_in_the_platforms_words(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    (port,) = free_ports(1)
    topology = make_topology(connector("remote", "remote", "sink", url=f"http://127.0.0.1:{port}"), sink())
    worker = await run_worker(topology, max_failures=1)
    await queues.publish(topology.exchange("remote"), process_message("x"))
    assert (await one_entry(worker)).reason == "worker unreachable, correlationId poisoned after 1 failures"


async def test_an_action_of_another_service_is_called_there_even_if_one_of_its_name_is_here(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    async def answer(request: web.Request) -> web.Response:
        sent = await request.json()
        return web.json_response({"headers": sent["headers"] | {"result-code": "0"}, "body": '"theirs"'})

    async with serving(answer) as url:
        theirs = connector("theirs", "copy", "sink", url=url, headers={"sdk": "node"})
        tunnelled = connector("ours", "copy", "theirs", url=url, headers={"sdk": "python"})
        settings = {**tunnelled.settings, "actionPath": "/call/python/connector/copy/action"}
        topology = make_topology(replace(tunnelled, settings=settings), theirs, sink())
        action = Timed()
        await run_worker(topology, action, services="python")
        await queues.publish(topology.exchange("ours"), process_message("x"))
        assert bodies(await queues.read(topology.queue("sink"), 1)) == ["theirs"]
    assert len(action.times) == 1


async def test_an_action_beyond_its_time_counts_as_unreachable(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    class Hang(Connector[Any, Any]):
        name = "hang"

        async def process(self, message: Message[Any]) -> Message[Any]:
            await asyncio.Event().wait()
            return message

    topology = make_topology(connector("hang", "hang", "sink", timeout=0.05), sink())
    worker = await run_worker(topology, Hang(), max_failures=1)
    await queues.publish(topology.exchange("hang"), process_message("x"))
    assert "longer than settings.timeout=0.05 s" in ((await one_entry(worker)).reason or "")


async def test_a_limited_message_keeps_its_distance(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    node = connector("shop", "copy", "sink")
    limited = NodeEntry(node.name, node.followers, node.worker, "shop", node.settings)
    topology = make_topology(limited, sink())
    action = Timed()
    await run_worker(topology, action)
    key = {"limiter-key": "alice|shop;1;1"}
    await queues.publish(topology.exchange("shop"), *(process_message(number, **key) for number in range(3)))
    assert sorted(bodies(await queues.read(topology.queue("sink"), 3, seconds=20))) == [0, 1, 2]
    assert all(later - earlier >= 1 for earlier, later in pairwise(action.times)), action.times


class Timed(Connector[Any, Any]):
    """Passes the message on, and notes when."""

    name = "copy"

    def __init__(self) -> None:
        self.times: list[float] = []

    async def process(self, message: Message[Any]) -> Message[Any]:
        self.times.append(time.monotonic())
        return message


async def approve(worker: InProcess, entry: Entry) -> None:
    """Approve as a person does, by the command."""
    command = await worker.command("trash", "approve", entry.id[:8])
    assert command == f"{entry.id} approved\n"


async def test_the_trash_command_prints_the_platforms_documents(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(connector("shop", "refuse", "sink"), sink())
    worker = await run_worker(topology, Refuse())
    await queues.publish(topology.exchange("shop"), process_message("x"))
    await one_entry(worker)
    (document,) = json.loads(await worker.command("trash", "list", "--json"))
    assert document["nodeId"] == topology.node_id("shop")
    assert document["message"]["headers"]["result-message"] == "no stock"
    assert "no stock" in await worker.command("trash", "list")
    rejected = await worker.command("trash", "reject", document["id"])
    assert rejected == f"{document['id']} rejected\n"
    assert json.loads(await worker.command("trash", "list", "--json")) == []
