"""`orchesty-worker topology import` and `export`."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.drawings import ORDERS, bpmn, circle, sketch, square, stored

from worker.cli import cli
from worker.errors import TopologyError
from worker.protocol.topology import Node
from worker.protocol.topology_file import load_topology

TABLE = """\
node taken guessed dropped
each-morning worker.null the time '0 6 * * *': a scheduler has to start the node
shop-list-orders worker.batch /batch/shop-list-orders/action shop shop-service http://shop-service:8080 rabbitPrefetch=5
add-vat worker.custom_node /custom-node/add-vat/process shop-service http://shop-service:8080
gateway worker.null the type gateway, as the file gives none for its exclusiveGateway; the name gateway
store-order worker.http /connector/store-order/action warehouse repeater={"enabled": true, "interval": 60, "hops": 9}
ask worker.user the type user, as the file gives none for its userTask
written: topology.json""".splitlines()


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(cli, ["topology", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(done.output)
    return report


def facts(nodes: Sequence[Node]) -> list[tuple[object, ...]]:
    """What of a node the editor's file holds."""
    return [
        (node.id, node.name, node.role, node.action_path, node.application, node.headers, node.followers)
        for node in nodes
    ]


def test_a_table_says_what_became_of_each_node(tmp_path: Path) -> None:
    stored(tmp_path, "orders.tplg", bpmn())
    assert [" ".join(line.split()) for line in run("import", "orders.tplg").output.splitlines()] == TABLE
    assert facts(load_topology(Path("topology.json")).nodes) == facts(load_topology(Path("orders.tplg")).nodes)


def test_name_and_services_can_be_given(tmp_path: Path) -> None:
    content = sketch(circle("n1"), square("n2", "custom", "add-vat", worker="node"), flows=[("n1", "n2")])
    stored(tmp_path, "vat.tplg.json", content)
    first = told("import", "vat.tplg.json", "--output", "guessed.json")
    assert first["guessed"] == [
        "the actions of node are in this process (if they are not: topology import --url node=URL)"
    ]
    second = told("import", "vat.tplg.json", "--name", "vat-test", "--url", "node=https://node.example/sdk")
    assert (second["written"], second["guessed"]) == ("topology.json", [])
    topology = load_topology(Path("topology.json"))
    assert (topology.name, topology.nodes[1].id, topology.nodes[1].url) == (
        "vat-test",
        "vat-test:n2",
        "https://node.example/sdk",
    )


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    stored(tmp_path, "orders.tplg", bpmn())
    stored(tmp_path, "topology.json", "mine")
    refused = run("import", "orders.tplg")
    assert (refused.exit_code, Path("topology.json").read_text()) == (1, "mine")
    assert "topology.json is there already. Choose another --output, or replace it with --force." in refused.output
    assert run("import", "orders.tplg", "--force").exit_code == 0


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    stored(tmp_path, "orders.tplg", bpmn())
    assert "write SERVICE=URL" in run("import", "orders.tplg", "--url", "node-sdk").output
    wrong = run("import", "orders.tplg", "--url", "node=http://node")
    assert isinstance(wrong.exception, TopologyError)
    assert str(wrong.exception) == "--url names node, but the services of the file are: shop-service."
    assert not Path("topology.json").exists()
    run("import", "orders.tplg")
    again = run("import", "topology.json", "--output", "again.json")
    assert (again.exit_code, Path("again.json").exists()) == (1, False)
    assert "is a topology file already" in again.output


@pytest.mark.parametrize("first", ["orders.tplg", "orders.json"])
def test_an_exported_file_means_the_same(tmp_path: Path, first: str) -> None:
    stored(tmp_path, "orders.tplg", bpmn())
    run("import", "orders.tplg", "--output", "orders.json")
    report = told("export", first, "--service", "mine")
    assert report["written"] == "orders.tplg.json"
    document = json.loads(Path("orders.tplg.json").read_bytes())
    assert len({(node["position"]["x"], node["position"]["y"]) for node in document["nodes"]}) == len(ORDERS)
    back = load_topology(Path("orders.tplg.json"))
    assert [fact[:5] for fact in facts(back.nodes)] == [fact[:5] for fact in facts(load_topology(Path(first)).nodes)]
    assert [node.followers for node in back.nodes] == [node.followers for node in load_topology(Path(first)).nodes]


def test_what_the_editor_has_no_place_for_is_told(tmp_path: Path) -> None:
    nodes = [
        {"id": "a", "name": "webhook-paid", "worker": "worker.null", "followers": [{"id": "b", "name": "pay"}]},
        {
            "id": "b", "name": "pay", "worker": "worker.http", "application": "bank",
            "settings": {"url": "http://:0", "actionPath": "connector/bank-pay/action", "orderBy": "body:id",
                         "headers": {"sdk": "php", "x": "1"}},
            "followers": [{"id": "z", "name": "elsewhere"}],
        },
    ]  # fmt: skip
    stored(tmp_path, "topology.json", json.dumps({"id": "t", "name": "pay/ments", "nodes": nodes}))
    report = told("export", "topology.json")
    assert report == {
        "written": "pay-ments.tplg.json",
        "nodes": [
            {
                "id": "a",
                "name": "webhook-paid",
                "taken": ["webhook"],
                "guessed": ["a webhook event, as it passes messages on"],
                "dropped": [],
            },
            {
                "id": "b",
                "name": "bank-pay",
                "taken": ["connector", "bank", "php"],
                "guessed": [],
                "dropped": [
                    "the name pay, as the editor shows that of the action",
                    "the follower elsewhere, which is not in the file",
                    'orderBy="body:id"',
                    'headers={"x": "1"}',
                ],
            },
        ],
        "guessed": [],
        "dropped": [],
    }
    exported = json.loads(Path("pay-ments.tplg.json").read_bytes())
    assert exported["nodes"][1] == {
        "type": "flow",
        "id": "b",
        "label": "Connector",
        "shape": "square",
        "property": None,
        "action": {"name": "bank-pay", "worker": "php", "type": "connector", "app": "bank"},
        "name": None,
        "position": {"x": 220, "y": 0},
    }
    assert [(line["from"], line["to"]) for line in exported["connections"]] == [("a", "b")]


def test_a_topology_with_circles_is_not_exported(tmp_path: Path) -> None:
    nodes = [{"id": "a", "name": "a", "worker": "worker.null", "followers": [{"id": "a"}]}]
    stored(tmp_path, "topology.json", json.dumps({"id": "t", "name": "t", "nodes": nodes}))
    done = run("export", "topology.json")
    assert done.exit_code == 1
    assert "topology.json: these nodes go in circles" in done.output


def test_a_file_is_checked_that_can_be_read_once_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as threads:
        threads.submit((tmp_path / "pipe").write_text, bpmn())
        assert run("check", "pipe").output.startswith("pipe (pipe): 6 nodes\n")
        for command in ("import", "export"):
            threads.submit((tmp_path / "pipe").write_text, bpmn())
            assert "pipe can be read only once. Write it to a file." in run(command, "pipe").output


def test_a_file_of_the_editor_is_checked_and_shown_as_it_is(tmp_path: Path) -> None:
    stored(tmp_path, "orders.tplg", bpmn())
    checked = run("check", "orders.tplg")
    assert checked.output.startswith("orders (orders): 6 nodes\n")
    assert "shop-list-orders  batch        /batch/shop-list-orders/action → add-vat" in checked.output
    assert "guessed: gateway (Gateway_1): the name gateway\n" in checked.output
    assert "dropped: each-morning (Event_1): the time '0 6 * * *': a scheduler has to start the node" in checked.output
    assert told("check", "orders.tplg")["guessed"][:2] == [
        "gateway (Gateway_1): the type gateway, as the file gives none for its exclusiveGateway",
        "ask (Task_ask): the type user, as the file gives none for its userTask",
    ]
    assert "└─▶ add-vat" in run("show", "orders.tplg").output
