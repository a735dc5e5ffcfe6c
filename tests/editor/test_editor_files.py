"""Files of the platform's editor, read as topologies."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.drawings import FLOWS, ORDERS, bpmn, circle, sketch, square, stored

from connectors import Message, custom_node
from worker.editor.document import document_of
from worker.editor.reading import read_file
from worker.errors import TopologyError
from worker.protocol.topology import Repeater, Role
from worker.protocol.topology_file import load_topology
from worker.testing import InMemoryTopology

BILL = sketch(
    circle("n1", "Webhook", "paid"),
    square("n2", "connector", "shop-get-order", "shop", "shop-service"),
    square("n3", "custom", "add-vat"),
    {"id": "n4", "shape": "hexagon", "label": "User Task", "name": None, "action": None},
    {"id": "n5", "shape": "square", "label": "Gateway", "action": None},
    circle("n6", "End Event"),
    flows=[("n1", "n2"), ("n2", "n3"), ("n3", "n4"), ("n3", "n5"), ("n5", "n6")],
)


def test_bpmn_is_read_with_settings_and_services(tmp_path: Path) -> None:
    topology = load_topology(stored(tmp_path, "orders.tplg", bpmn()))
    assert (topology.id, topology.name) == ("orders", "orders")
    cron, orders, vat, gateway, store, ask = topology.nodes
    assert (cron.id, cron.name, cron.role) == ("orders:Event_1", "each-morning", Role.PASS_ON)
    assert (orders.role, orders.action_path, orders.application) == (
        Role.BATCH,
        "/batch/shop-list-orders/action",
        "shop",
    )
    assert (orders.url, orders.headers, orders.prefetch) == (
        "http://shop-service:8080",
        {"sdk": "shop-service"},
        5,
    )
    assert (vat.role, vat.action_path) == (Role.CUSTOM_NODE, "/custom-node/add-vat/process")
    assert (gateway.role, gateway.name) == (Role.PASS_ON, "gateway")
    assert [follower.name for follower in gateway.followers] == ["store-order", "ask"]
    assert (store.role, store.repeater, store.url) == (Role.CONNECTOR, Repeater(60, 9), "")
    assert (ask.role, ask.followers) == (Role.USER_TASK, ())


def test_a_sketch_is_read(tmp_path: Path) -> None:
    topology = load_topology(stored(tmp_path, "bill.tplg.json", BILL))
    assert [(node.id, node.name, node.role) for node in topology.nodes] == [
        ("bill:n1", "paid", Role.PASS_ON),
        ("bill:n2", "shop-get-order", Role.CONNECTOR),
        ("bill:n3", "add-vat", Role.CUSTOM_NODE),
        ("bill:n4", "user-task", Role.USER_TASK),
        ("bill:n5", "gateway", Role.PASS_ON),
        ("bill:n6", "end", Role.PASS_ON),
    ]
    assert topology.nodes[1].headers == {"sdk": "shop-service"}
    assert [follower.id for follower in topology.nodes[2].followers] == ["bill:n4", "bill:n5"]


def test_the_content_says_which_format_it_is(tmp_path: Path) -> None:
    assert len(load_topology(stored(tmp_path, "orders.json", bpmn())).nodes) == len(ORDERS)
    assert len(load_topology(stored(tmp_path, "bill", BILL)).nodes) == 6
    path = tmp_path / "orders.xml"
    path.write_bytes(bpmn().replace("UTF-8", "UTF-16").encode("utf-16"))
    assert len(load_topology(path).nodes) == len(ORDERS)
    path.write_bytes(b"\xef\xbb\xbf\n" + bpmn().partition("?>")[2].encode())
    assert len(load_topology(path).nodes) == len(ORDERS)


def test_nodes_of_two_files_have_queues_of_their_own(tmp_path: Path) -> None:
    one, other = (load_topology(stored(tmp_path, f"{name}.tplg.json", BILL)) for name in ("bill", "bill-test"))
    assert not {node.queue for node in one.nodes} & {node.queue for node in other.nodes}


@pytest.mark.asyncio
async def test_a_message_goes_through_a_file_of_the_editor(tmp_path: Path) -> None:
    @custom_node("add-vat")
    async def add_vat(message: Message[dict[str, float]]) -> dict[str, float]:
        return {"total": message.data["total"] * 1.2}

    content = sketch(circle("n1"), square("n2", "custom", "add-vat"), circle("n3", "End Event", "done"),
                     flows=[("n1", "n2"), ("n2", "n3")])  # fmt: skip
    async with InMemoryTopology(stored(tmp_path, "vat.tplg.json", content), [add_vat]) as topology:
        await topology.start("start", {"total": 10})
        await topology.run()
        assert topology.data("done") == [{"total": 12}]


def problem(folder: Path, name: str, content: str) -> str:
    path = stored(folder, name, content)
    with pytest.raises(TopologyError) as caught:
        load_topology(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


START = ("event", {"id": "e", "name": "start", "pipes:pipesType": "start"})
TASK = ("task", {"id": "t", "name": "copy", "pipes:pipesType": "custom"})

BAD_BPMN = {
    "unknown type": (bpmn([START, ("task", {"id": "t", "name": "up", "pipes:pipesType": "ftp"})], []), "type 'ftp' is"),
    "unknown element": (bpmn([START, ("subProcess", {"id": "s", "name": "all"})], []), "element 'subProcess'"),
    "no action": (bpmn([START, ("task", {"id": "t", "pipes:pipesType": "batch"})], []), "the batch t has no action"),
    "action with a slash": (
        bpmn([START, ("task", {"id": "t", "name": "a/b", "pipes:pipesType": "batch"})], []),
        "'a/b', and a name has no /",
    ),
    "no start": (bpmn([TASK], []), "there is no start"),
    "start in a row": (bpmn([TASK, START], [("t", "e")]), "there is no start"),
    "circle": (bpmn([START, TASK, ("task", {"id": "u", "name": "twice", "pipes:pipesType": "custom"})],
                    [("e", "t"), ("t", "u"), ("u", "t")]), "copy (t) → twice (u) → copy (t)"),
    "to itself": (bpmn([START, TASK], [("t", "t")]), "copy (t) → copy (t)"),
    "same id": (bpmn([START, START], []), "several nodes have the id e"),
    "no id": (bpmn([("event", {"name": "start"})], []), "the node 'start' has no id"),
    "no nodes": (bpmn([], []), "there are no nodes"),
    "no process": ("<html><body/></html>", "no process in it, only 'html'"),
    "cut": (bpmn()[:600], "not XML: "),
    "entities": (bpmn(before='<!DOCTYPE x [<!ENTITY a "b">]>'), "EntitiesForbidden"),
    "deep": ("<a>" * 100_000, "lie deeper than 100"),
    "no number": (bpmn([START, ("task", {**TASK[1], "pipes:rabbitPrefetch": "many"})], []), "rabbitPrefetch is 'many'"),
    "no hops": (bpmn([START, ("task", {**TASK[1], "pipes:repeaterEnabled": "true"})], []), "repeaterInterval is ''"),
    "10 MB": (bpmn() + "<!--" + "x" * 10_000_000 + "-->", "10 MB are too many, 8 MB are allowed"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "told"), BAD_BPMN.values(), ids=BAD_BPMN)
def test_what_is_wrong_with_bpmn_is_told(tmp_path: Path, content: str, told: str) -> None:
    assert told in problem(tmp_path, "orders.tplg", content)


BAD_SKETCHES = {
    "unknown type": (sketch(circle("e"), square("t", "email", "tell")), "type 'email' is unknown"),
    "no action": (sketch(circle("e"), square("t", "connector", "")), "the connector t has no action"),
    "no start": (sketch(square("t", "custom", "copy")), "there is no start"),
    "circle": (sketch(circle("e"), square("t", "custom", "copy"), flows=[("e", "t"), ("t", "t")]), "copy (t) → copy"),
    "same id": (sketch(circle("e"), circle("e")), "several nodes have the id e"),
    "no nodes": (sketch(), "there are no nodes"),
    "no id": ('{"nodes": [{"shape": "circle"}]}', "at $.nodes[0].id: Field required"),
    "other types": ('{"nodes": [5], "connections": "x"}', "at $.connections: "),
    "cut": (BILL[:200], "not JSON: "),
    "10 MB": (sketch(circle("e", name="x" * 10_000_000)), "10 MB are too many"),
    "too many": (sketch(*(circle(f"e{number}") for number in range(5_001))), "5001 nodes are too many"),
}


@pytest.mark.parametrize(("content", "told"), BAD_SKETCHES.values(), ids=BAD_SKETCHES)
def test_what_is_wrong_with_a_sketch_is_told(tmp_path: Path, content: str, told: str) -> None:
    assert told in problem(tmp_path, "bill.tplg.json", content)


def test_a_long_row_of_nodes_is_read(tmp_path: Path) -> None:
    ids = [f"n{number}" for number in range(4_000)]
    content = sketch(circle("e"), *(square(id_, "custom", "copy") for id_ in ids),
                     flows=list(zip(["e", *ids], ids, strict=False)))  # fmt: skip
    assert len(load_topology(stored(tmp_path, "long.tplg.json", content)).nodes) == 4_001


def test_what_means_nothing_is_dropped_and_told(tmp_path: Path) -> None:
    content = bpmn(flows=[*FLOWS, ("Event_1", "Task_list"), ("Task_ask", "gone")])
    drawing = read_file(stored(tmp_path, "orders.tplg", content))
    assert [(note.fate, note.text, note.node) for note in drawing.notes if note.fate == "dropped"] == [
        ("dropped", "a second connection to shop-list-orders (Task_list)", "Event_1"),
        ("dropped", "a connection with 'gone', which is no node of the file", "Task_ask"),
    ]


@given(name=st.text(), ids=st.lists(st.text(), min_size=1, max_size=4, unique=True))
def test_any_ids_become_ids_of_queues(tmp_path_factory: pytest.TempPathFactory, name: str, ids: list[str]) -> None:
    path = stored(tmp_path_factory.mktemp("ids"), "x.tplg.json", sketch(*map(circle, ids)))
    made = document_of(read_file(path), name, {})
    path.write_text(json.dumps(made))
    assert len({node.queue for node in load_topology(path).nodes}) == len(ids)
