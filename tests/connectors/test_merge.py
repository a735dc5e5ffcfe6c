"""`merge`: one message of those that belong together, over RabbitMQ, with several workers."""

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker, StartWorker
from support.databases import MakeDatabase
from support.nodes import outcome_of
from support.queues import ProcessMessage, Queues, process_message
from support.topologies import NodeEntry, TopologyFile, custom_node, pass_on, sink
from support.waiting import eventually

from connectors import Outcome, Page, Repeat, Stop, Trash
from connectors.nodes.filtering import Filter
from connectors.nodes.mapping import Map
from connectors.nodes.merging import Merge
from connectors.nodes.routing import Route
from connectors.nodes.splitting import Split
from connectors.storage import Storage
from worker.storage.opening import open_storage

KINDS = ["sqlite", "postgresql", "redis"]


def split_node(name: str, *followers: str, **configuration: Any) -> NodeEntry:
    settings = {"actionPath": "/batch/split/action", "configuration": configuration}
    return NodeEntry(name, followers, "worker.batch", settings=settings)


def ready(name: str, action: str, *followers: str, **configuration: Any) -> NodeEntry:
    return custom_node(name, action, *followers, prefetch=50, configuration=configuration)


@pytest.fixture
def make_storage(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Callable[[str], str]:
    return lambda kind: str(request.getfixturevalue("redis_url")) if kind == "redis" else make_database(kind)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(f"sqlite:///{tmp_path}/storage.sqlite")


async def merge(storage: Storage, data: Any, configuration: Mapping[str, Any] | None = None, **headers: Any) -> Outcome:
    action = Merge()
    action.storage = storage
    return await outcome_of(action, configuration or {}, data, **headers)


def part(index: int, count: int = 3) -> dict[str, str]:
    return {"split_id": "s", "split_index": str(index), "split_count": str(count), "process_id": f"p{index}"}


async def test_parts_are_merged_in_the_order_of_the_split(storage: Storage) -> None:
    first = await merge(storage, "b", **part(1))
    assert isinstance(first, Repeat)
    assert "1 of 3 parts" in first.reason
    assert isinstance(await merge(storage, "a", **part(0)), Stop)
    merged = await merge(storage, "c", **part(2))
    assert isinstance(merged, Page)
    (item,) = merged.items
    assert item.data == ["a", "b", "c"]
    assert {name: item.headers.get(name) for name in ("merge-key", "merge-count", "merge-wanted", "split-id")} == {
        "merge-key": "s",
        "merge-count": "3",
        "merge-wanted": "3",
        "split-id": None,
    }
    assert isinstance(await merge(storage, "b", **part(1)), Stop)


async def test_the_end_of_an_inner_split_brings_back_the_outer_one(storage: Storage) -> None:
    outer = {"split-id": "o", "split-index": "4", "split-count": "9"}
    merged = await merge(storage, 1, **part(0, 1), split_outer=json.dumps(outer))
    assert isinstance(merged, Page)
    assert {name: merged.items[0].headers[name] for name in outer} == outer
    assert "split-outer" not in merged.items[0].headers


async def test_parts_that_do_not_come_send_the_first_to_the_trash(storage: Storage) -> None:
    brief = {"timeout": 0.01}
    await merge(storage, "a", brief, **part(0))
    await asyncio.sleep(0.02)  # the time is what is tested
    trashed = await merge(storage, "a", brief, **part(0))
    assert isinstance(trashed, Trash)
    assert "1 of 3 parts of 's' came within 0.01 s" in trashed.reason
    assert isinstance(await merge(storage, "b", brief, **part(1)), Stop)
    assert isinstance(await merge(storage, "c", brief, **part(2)), Page)


async def test_parts_that_came_in_time_go_on_when_that_is_wanted(storage: Storage) -> None:
    brief = {"timeout": 0.01, "on_timeout": "forward"}
    await merge(storage, "a", brief, **part(0))
    await asyncio.sleep(0.02)  # the time is what is tested
    merged = await merge(storage, "a", brief, **part(0))
    assert isinstance(merged, Page)
    assert merged.items[0].data == ["a"]
    assert (merged.items[0].headers["merge-count"], merged.items[0].headers["merge-wanted"]) == ("1", "3")
    late = await merge(storage, "b", brief, **part(1))
    assert isinstance(late, Trash)
    assert "came after the others" in late.reason


async def test_key_and_count_by_expressions(storage: Storage) -> None:
    configuration = {"key": {"jmespath": "order"}, "count": {"jsonata": "of"}}
    await merge(storage, {"order": 7, "of": 2, "n": 1}, configuration, process_id="a")
    merged = await merge(storage, {"order": 7, "of": 2, "n": 2}, configuration, process_id="b")
    assert isinstance(merged, Page)
    assert [entry["n"] for entry in merged.items[0].data] == [1, 2]


@pytest.mark.parametrize(
    ("data", "configuration", "said"),
    [
        ("a", {}, "there is no header split-id"),
        ({"order": None}, {"key": {"jmespath": "order"}, "count": 2}, "'order' gave null, not a key"),
        ({"order": 1}, {"key": {"jmespath": "order"}}, "how many parts are there?"),
        ({"order": 1, "of": "x"}, {"key": {"jmespath": "order"}, "count": {"jmespath": "of"}}, "'x' is not a number"),
    ],
)
async def test_what_belongs_nowhere_goes_to_the_trash(
    storage: Storage, data: Any, configuration: Mapping[str, Any], said: str
) -> None:
    trashed = await merge(storage, data, configuration)
    assert isinstance(trashed, Trash)
    assert said in trashed.reason


def orders(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(
        pass_on("start", "large"),
        ready("large", "filter", "lines", jmespath="total > `100`"),
        split_node("lines", "price", items={"jmespath": "lines"}),
        ready("price", "map", "country", jsonata="{'sku': sku, 'sum': n * 10}"),
        ready("country", "route", "together", "elsewhere", jsonata="sum > 0 ? 'together' : 'elsewhere'"),
        ready("together", "merge", "total", timeout=60),
        ready("total", "map", "sink", jmespath="{skus: [].sku, total: sum([].sum)}"),
        sink(),
    )


def order(number: int, lines: int) -> ProcessMessage:
    content = [{"sku": f"{number}-{line}", "n": line + 1} for line in range(lines)]
    return process_message({"total": 120, "lines": content})


async def test_a_topology_of_ready_nodes(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, tmp_path: Path
) -> None:
    topology = orders(make_topology)
    actions = (Filter(), Map(), Merge(), Route(), Split())
    await run_worker(topology, *actions, storage_url=f"sqlite:///{tmp_path}/storage.sqlite")
    sent = [order(number, 4) for number in range(5)]
    await queues.publish(topology.exchange("start"), *sent, process_message({"total": 5, "lines": [1]}))
    messages = await queues.read(topology.queue("sink"), 5)
    assert sorted(message.data["skus"] for message in messages) == [[f"{n}-{i}" for i in range(4)] for n in range(5)]
    assert {message.data["total"] for message in messages} == {100}
    runs = {message.headers["correlation-id"] for message in messages}
    assert runs == {message.headers["correlation-id"] for message in sent}


@pytest.mark.parametrize("kind", KINDS)
async def test_several_workers_make_one_message_of_each_key(
    kind: str,
    make_storage: Callable[[str], str],
    make_topology: MakeTopology,
    start_worker: StartWorker,
    queues: Queues,
) -> None:
    topology = orders(make_topology)
    url = make_storage(kind)
    workers = [await start_worker(topology, storage_url=url) for _ in range(2)]
    sent = [order(number, 6) for number in range(15)]
    publishing = asyncio.ensure_future(queues.publish(topology.exchange("start"), *sent, *sent[:5]))
    await eventually(lambda: bool(workers[0].logged("worker_started")), what="a start")
    workers[0].signal(signal.SIGKILL)
    await workers[0].ended()
    await publishing
    by_run: dict[str, list[ProcessMessage]] = {}
    while len(by_run) < len(sent):
        for message in await queues.read(topology.queue("sink"), 1):
            by_run.setdefault(message.headers["correlation-id"], []).append(message)
    wanted = {message.headers["correlation-id"]: message.data for message in sent}
    for run, merged in by_run.items():
        assert {message.headers["process-id"] for message in merged} == {merged[0].headers["process-id"]}
        assert merged[0].data["skus"] == [line["sku"] for line in wanted[run]["lines"]]


async def test_a_message_is_derived_from_the_part_that_completes_it(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, tmp_path: Path
) -> None:
    topology = make_topology(ready("together", "merge", "sink", timeout=60), sink())
    await run_worker(topology, Merge(), storage_url=f"sqlite:///{tmp_path}/storage.sqlite")
    headers = {"split-id": "s", "split-count": "2"}
    parts = [process_message(number, **headers, **{"split-index": str(number)}) for number in range(2)]
    for message in (parts[0], parts[0], parts[1]):
        await queues.publish(topology.exchange("together"), message)
    (merged,) = await queues.read(topology.queue("sink"), 1)
    assert merged.data == [0, 1]
    assert merged.headers["parent-id"] in {message.headers["process-id"] for message in parts}
