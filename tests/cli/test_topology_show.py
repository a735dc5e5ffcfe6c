"""`orchesty-worker topology show`."""

import json
from pathlib import Path

from conftest import MakeTopology, RunWorker
from support.command import command, command_async
from support.queues import Queues, process_message
from support.topologies import custom_node, pass_on, sink


def entry(name: str, *followers: str) -> dict[str, object]:
    return {
        "id": name,
        "name": name,
        "worker": "worker.null",
        "followers": [{"id": follower, "name": follower} for follower in followers],
    }


def drawn(tmp_path: Path, *nodes: dict[str, object]) -> list[str]:
    path = tmp_path / "topology.json"
    path.write_text(json.dumps({"id": "t", "name": "orders", "nodes": nodes}))
    done = command("topology", "show", str(path), COLUMNS="120")
    assert done.returncode == 0, done.stderr
    return [line.partition("  pass-on")[0].rstrip() for line in done.stdout.splitlines()[2:]]


def test_fan_out_fan_in_and_loops_are_drawn(tmp_path: Path) -> None:
    nodes = [
        entry("start", "fetch", "audit"),
        entry("fetch", "check"),
        entry("check", "store", "ask", "audit"),
        entry("store", "elsewhere"),
        entry("ask", "fetch"),
        entry("audit"),
        entry("ring-a", "ring-b"),
        entry("ring-b", "ring-a"),
        entry("self", "self"),
    ]
    assert drawn(tmp_path, *nodes) == [
        "start",
        "├─▶ fetch",
        "│   └─▶ check",
        "│       ├─▶ store",
        "│       │   └─▶ elsewhere  not in this file",
        "│       ├─▶ ask",
        "│       │   └─▶ fetch  ↺ back",
        "│       └─▶ audit",
        "└─▶ audit  ↑ above",
        "ring-a",
        "└─▶ ring-b",
        "    └─▶ ring-a  ↺ back",
        "self",
        "└─▶ self  ↺ back",
    ]


def test_what_was_checked_is_told_to_scripts(tmp_path: Path) -> None:
    path = tmp_path / "topology.json"
    path.write_text(json.dumps({"id": "t", "name": "orders", "nodes": [entry("start", "audit"), entry("audit")]}))
    checked = json.loads(command("topology", "check", str(path), "--json").stdout)
    assert (checked["name"], [node["name"] for node in checked["nodes"]]) == ("orders", ["start", "audit"])


def test_a_large_graph_has_a_line_for_each_node_and_each_further_edge(tmp_path: Path) -> None:
    nodes = [
        entry(f"n{number}", *(f"n{follower}" for follower in {number + 1, number * 2} if follower < 20))
        for number in range(20)
    ]
    edges = sum(len(node["followers"]) for node in nodes)  # type: ignore[arg-type]
    lines = drawn(tmp_path, *nodes)
    assert len(lines) == 1 + edges
    assert len([line for line in lines if "above" not in line and "back" not in line]) == 20


async def test_queues_are_shown_as_they_are(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, broker_url: str
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink(), sink("missing"))
    await run_worker(topology)
    await queues.publish(topology.exchange("sink"), *(process_message(number) for number in range(3)))
    await queues.length(topology.queue("sink"))
    done = await command_async("topology", "show", str(topology.path), "--amqp-url", broker_url, "--json")
    nodes = {node["name"]: node for node in json.loads(done.stdout)["nodes"]}
    assert (nodes["start"]["messages"], nodes["start"]["consumers"]) == (0, 1)
    assert (nodes["sink"]["messages"], nodes["sink"]["consumers"]) == (3, 0)
    assert (nodes["missing"]["messages"], nodes["missing"]["consumers"]) == (None, None)
    assert nodes["start"]["followers"] == [{"id": topology.node_id("sink"), "name": "sink", "isInFile": True}]
    done = await command_async("topology", "show", str(topology.path), "--amqp-url", broker_url, COLUMNS="120")
    assert "waiting" in done.stdout
    assert "no queue" in done.stdout


async def test_what_waits_in_partitions_is_counted_on_the_broker_that_the_file_names(
    make_topology: MakeTopology, queues: Queues, broker_url: str
) -> None:
    topology = make_topology(custom_node("work", "copy", orderBy="body:key"))
    node = topology.node_id("work")
    await queues.declare(topology.exchange("work"), topology.queue("work"))
    await queues.publish(topology.exchange("work"), process_message(0))
    partitions = [f"node.{node}.order.{number}" for number in range(1, 17)]
    for partition in partitions:
        await queues.declare(f"node.{node}.keys", partition)
        await queues.publish_raw("", b"{}", partition)
    content = json.loads(topology.path.read_text()) | {"rabbitMq": [{"dsn": broker_url}]}
    topology.path.write_text(json.dumps(content))

    done = await command_async("topology", "show", str(topology.path), "--json")

    await queues.delete(f"node.{node}.keys", *partitions)
    assert json.loads(done.stdout)["nodes"][0]["messages"] == 17


def test_the_graph_is_drawn_without_its_broker_and_the_status_says_so(tmp_path: Path) -> None:
    path = tmp_path / "topology.json"
    path.write_text(json.dumps({"id": "t", "name": "orders", "nodes": [entry("start")]}))
    done = command("topology", "show", str(path), "--amqp-url", "amqp://127.0.0.1:1/")
    assert done.returncode == 1
    assert "start" in done.stdout
    assert "the broker does not answer" in done.stderr
    assert len(done.stderr.splitlines()) == 1
