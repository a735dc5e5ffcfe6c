"""Topology files: what is read, and which errors name file, place and cure."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.kind import Kind
from worker.errors import TopologyError
from worker.protocol.topology import Role
from worker.protocol.topology_file import load_topology


def node(**changes: Any) -> dict[str, Any]:
    return {"id": "n1", "name": "start", "worker": "worker.null", **changes}


def write(folder: Path, *nodes: dict[str, Any], **changes: Any) -> Path:
    path = folder / "topology.json"
    path.write_text(json.dumps({"id": "t1", "name": "orders", "nodes": nodes, **changes}))
    return path


def problem(path: Path) -> str:
    with pytest.raises(TopologyError) as caught:
        load_topology(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_of_the_platform_is_read(tmp_path: Path) -> None:
    settings = {"url": "http://sdk", "actionPath": "connector/get/action", "headers": {"sdk": "php", "n": 1}}
    path = write(
        tmp_path,
        node(worker="worker.http", application=None, settings=settings, followers=[{"id": "n2", "name": "next"}]),
        rabbitMq=[{"dsn": "amqp://broker"}],
    )
    topology = load_topology(path)
    only = topology.nodes[0]
    assert (topology.amqp_url, only.role, only.action) == ("amqp://broker", Role.CONNECTOR, (Kind.CONNECTOR, "get"))
    assert (only.queue, only.exchange, only.headers) == ("node.n1.1", "node.n1.hx", {"sdk": "php", "n": "1"})
    assert json.loads(only.stamp["worker-followers"]) == [{"id": "n2", "name": "next"}]


def test_nodes_of_services_that_are_not_here_name_no_action(tmp_path: Path) -> None:
    settings = [
        {"actionPath": "/call/python/connector/get/action", "url": "http://tunnel:8080"},
        {"actionPath": "/connector/get/action", "headers": {"sdk": "python"}, "url": "http://other"},
        {"actionPath": "/connector/get/action", "url": "http://service:8000"},
        {"actionPath": "/connector/get/action", "url": "http://node-service", "headers": {"sdk": "node"}},
        {"actionPath": "/connector/get/action"},
    ]
    path = write(tmp_path, *(node(id=f"n{at}", worker="worker.http", settings=one) for at, one in enumerate(settings)))
    get = (Kind.CONNECTOR, "get")
    assert [one.action for one in load_topology(path).nodes] == [get] * 5
    served = load_topology(path).served_by(("python", "service:8000"))
    assert [one.action for one in served.nodes] == [get, get, get, None, get]


def test_nodes_of_system_topologies_mark_their_messages(tmp_path: Path) -> None:
    topology = load_topology(write(tmp_path, node(), name="system-events"))
    assert topology.nodes[0].stamp["system-event"] == "true"


def test_nodes_are_selected_by_id_and_name(tmp_path: Path) -> None:
    topology = load_topology(write(tmp_path, node(), node(id="n2", name="next")))
    assert [chosen.id for chosen in topology.select(("n2", "start"))] == ["n1", "n2"]
    with pytest.raises(TopologyError, match=r"WORKER_NODES names nope, but the topology has only: start \(n1\)"):
        topology.select(("nope",))


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    assert "TOPOLOGY_JSON" in problem(tmp_path / "nowhere.json")


def test_text_that_is_no_json_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "topology.json"
    path.write_text("{nodes:")
    assert "not JSON: Expecting property name" in problem(path)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"followers": [{"name": "next"}]}, "$.nodes[0].followers[0].id: Field required"),
        ({"settings": {"rabbitPrefetch": 0}}, "$.nodes[0].settings.rabbitPrefetch"),
        ({"settings": {"timeout": "soon"}}, "$.nodes[0].settings.timeout"),
        ({"id": "a b"}, "$.nodes[0].id"),
        ({"id": "#"}, "$.nodes[0].id"),
    ],
)
def test_a_wrong_shape_is_named_with_its_place(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    assert place in problem(write(tmp_path, node(**changes)))


def test_a_file_without_nodes_is_refused(tmp_path: Path) -> None:
    assert "$.nodes" in problem(write(tmp_path))


def test_duplicate_ids_name_both_places(tmp_path: Path) -> None:
    text = problem(write(tmp_path, node(), node(name="other")))
    assert "$.nodes[1].id: 'n1' is the id of $.nodes[0] too" in text


def test_a_follower_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    followers = [{"id": "n2"}, {"id": "n3"}, {"id": "n2", "name": "again"}]
    text = problem(write(tmp_path, node(followers=followers)))
    assert "at $.nodes[0].followers[2]: 'n2' is listed twice" in text


def test_an_unknown_worker_type_lists_the_known_ones(tmp_path: Path) -> None:
    text = problem(write(tmp_path, node(worker="worker.magic")))
    assert "$.nodes[0].worker: unknown type 'worker.magic'. Use one of: worker.null, worker.http," in text
