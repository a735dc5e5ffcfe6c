"""Files of the editor that nobody has drawn by hand: of all kinds and names, cut, with wrong types, hostile."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.drawings import FLOWS, ORDERS, bpmn, circle, sketch, square, stored

from worker.editor.checking import checked
from worker.editor.document import document_of, drawing_of
from worker.editor.kinds import in_use
from worker.editor.layout import positions
from worker.editor.reading import read_file
from worker.editor.sketch import written
from worker.errors import TopologyError
from worker.protocol.topology_file import load_topology

LABELS = {"start": "Event", "cron": "Cron", "webhook": "Webhook", "signal": "Signal", "end": "End Event"}
TAGS = {**dict.fromkeys(LABELS, "event"), "end": "endEvent", "gateway": "gateway", "user": "userTask"}
ACTIONS = ("connector", "custom", "batch")

# What XML can hold, and what of it is left of an attribute whose ends are blank.
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), max_size=12
).map(str.strip)
odd = st.sampled_from(["a/b", "50%", "a:b", "a b", "žluť", "{}", "a?b#c", "a.b.limit", "😀", "é" * 60])
names = st.one_of(texts, odd)
action_names = names.filter(lambda name: name and "/" not in name)


@dataclass(frozen=True)
class Drawn:
    """A node that the editor could have drawn."""

    id: str
    kind: str
    name: str
    application: str
    service: str

    def as_sketch(self) -> dict[str, Any]:
        if self.kind in ACTIONS:
            return square(self.id, self.kind, self.name, self.application or None, self.service)
        if self.kind in LABELS:
            return circle(self.id, LABELS[self.kind], self.name or None)
        shape = "hexagon" if self.kind == "user" else "square"
        return {"id": self.id, "shape": shape, "label": "Gateway", "name": self.name or None, "action": None}

    def as_element(self) -> tuple[str, Mapping[str, str]]:
        attributes = {"id": self.id, "name": self.name, "pipes:pipesType": self.kind}
        if self.kind in ACTIONS:
            attributes |= {"pipes:appName": self.application, "pipes:sdkHostName": self.service}
        written_as = {name: quoteattr(value)[1:-1].replace('"', "&quot;") for name, value in attributes.items()}
        return TAGS.get(self.kind, "task"), written_as


Flows = Sequence[tuple[str, str]]


@st.composite
def drawings(draw: st.DrawFn) -> tuple[Sequence[Drawn], Flows]:
    """Draw up to eight nodes, the first of them an event, and connections that go on only."""
    ids = draw(st.lists(names.filter(bool), min_size=1, max_size=8, unique=True))
    nodes = []
    for number, id_ in enumerate(ids):
        kind = draw(st.sampled_from(["start", "cron", "webhook"] if not number else [*TAGS, *ACTIONS]))
        name = draw(action_names if kind in ACTIONS else names)
        nodes.append(Drawn(id_, kind, name, draw(names), draw(names)))
    pairs = [(one, other) for number, one in enumerate(ids) for other in ids[number + 1 :]]
    return nodes, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []


def imported(path: Path) -> Mapping[str, Any]:
    return document_of(read_file(path), "t", {})


def exported(document: Mapping[str, Any]) -> str:
    drawing = checked(in_use(drawing_of(document, "")))
    return written(drawing, positions(drawing))


@given(drawings())
def test_what_is_exported_is_imported_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[Sequence[Drawn], Flows]
) -> None:
    nodes, flows = drawn
    path = tmp_path_factory.mktemp("generated") / "t.tplg.json"
    path.write_text(sketch(*(node.as_sketch() for node in nodes), flows=flows))
    first = imported(path)
    back = exported(first)
    path.write_text(back)
    assert imported(path) == first
    assert exported(imported(path)) == back
    assert len(load_topology(path).nodes) == len(nodes)


@given(
    drawings(), st.sampled_from(["UTF-8", "UTF-16", "windows-1250", "ISO-8859-2", "US-ASCII"]), st.sampled_from("bx")
)
def test_both_formats_mean_the_same(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[Sequence[Drawn], Flows], encoding: str, prefix: str
) -> None:
    nodes, flows = drawn
    folder = tmp_path_factory.mktemp("generated")
    path = stored(folder, "t.tplg.json", sketch(*(node.as_sketch() for node in nodes), flows=flows))
    ends = [tuple(quoteattr(end)[1:-1].replace('"', "&quot;") for end in flow) for flow in flows]
    content = bpmn([node.as_element() for node in nodes], ends)  # type: ignore[arg-type] # two ends each
    content = content.replace("UTF-8", encoding)
    for name, other in (("bpmn", prefix), ("pipes", f"{prefix}p")):
        content = content.replace(f"xmlns:{name}=", f"xmlns:{other}=").replace(f"{name}:", f"{other}:")
    older = folder / "t.tplg"
    older.write_bytes(content.encode(encoding, "xmlcharrefreplace"))
    assert imported(older) == imported(path)


SKETCH = sketch(circle("n1"), square("n2", "connector", "pay", "bank", "php"), flows=[("n1", "n2")])


@pytest.mark.parametrize(("name", "content"), [("o.tplg", bpmn()), ("o.tplg.json", SKETCH)], ids=["BPMN", "sketch"])
def test_a_file_that_is_cut_is_refused_wherever_that_is(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    for length in range(0, len(content), 50):
        path.write_text(content[:length])
        with pytest.raises(TopologyError, match="Export the topology"):
            load_topology(path)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the way to each value in a document."""
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*place, key))


def with_value(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = json.loads(json.dumps(document))
    at = copy
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return copy


DRAWN = {
    **json.loads(SKETCH),
    "nodes": [{**node, "position": {"x": 1, "y": 2}} for node in json.loads(SKETCH)["nodes"]],
}
WRONG = (None, 5, 1.5, True, "", "x", "a/b:c%d e", "\ud800", "\0", [], {}, [1], {"a": 1}, float("inf"), "x" * 5000)


@pytest.mark.parametrize("place", list(places(DRAWN)), ids=lambda place: ".".join(map(str, place)) or "all")
def test_a_wrong_type_anywhere_is_told_in_words_of_the_file(tmp_path: Path, place: tuple[Any, ...]) -> None:
    path = tmp_path / "o.tplg.json"
    for value in WRONG:
        path.write_text(json.dumps(with_value(DRAWN, place, value)))
        try:
            load_topology(path)
        except TopologyError as error:
            told = str(error)
            assert told.startswith(f"{path}: ")
            assert "instance of" not in told
            assert told.isprintable() or "\n" in told


def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    for name, content in (
        ("o.tplg.json", SKETCH),
        ("topology.json", json.dumps(imported(stored(tmp_path, "o", SKETCH)))),
    ):
        path = stored(tmp_path, name, content.replace("pay", r"p\ud800y"))
        with pytest.raises(TopologyError, match=r"half of a surrogate pair is no text: .*ud800"):
            load_topology(path)


START, TASK = ORDERS[0], ("task", {"id": "t", "pipes:pipesType": "custom"})
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "billion laughs": f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>',
    "external entity": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    "parameter entity": '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x.dtd"> %p;]>',
    "attribute default": '<!DOCTYPE x [<!ENTITY e "ha"><!ATTLIST x a CDATA "&e;">]>',
}


@pytest.mark.parametrize("before", HOSTILE.values(), ids=HOSTILE)
def test_entities_are_refused_and_not_read(tmp_path: Path, before: str) -> None:
    named = (TASK[0], {**TASK[1], "name": "&l9;" if "l9" in before else "&e;"})
    path = stored(tmp_path, "o.tplg", bpmn([START, named], [], before=before))
    with pytest.raises(TopologyError, match="EntitiesForbidden") as caught:
        load_topology(path)
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize("content", [
    bpmn().encode("utf-16-le"), bpmn().replace("UTF-8", "nowhere-7").encode(), b"<\0" * 400, b"\xff\xfe<", b"<" * 4000,
    bpmn().encode().replace(b"add-vat", b"add-\xff"), b"PK\x03\x04" + b"\0" * 100, b"", b"\xef\xbb\xbf",
])  # fmt: skip
def test_what_is_not_in_its_encoding_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "o.tplg"
    path.write_bytes(content)
    with pytest.raises(TopologyError, match="Export the topology"):
        load_topology(path)


def test_what_is_not_there_is_guessed_and_told(tmp_path: Path) -> None:
    content = sketch(
        circle("n1", "Signal", "paid"),
        {**square("n2", "custom", "copy", worker="php"), "shape": "square"},
        {"id": "n3", "shape": "square", "label": "Connector", "action": None},
        {"id": "n4", "shape": "circle", "label": "Cron", "name": "daily", "action": {"name": "lost"}},
        flows=[("n1", "n2"), ("n2", "n3"), ("n3", "elsewhere")],
    )
    content = content.replace('"type": "custom"', '"type": null')
    assert load_topology(stored(tmp_path, "o.tplg.json", content)).guesses == {
        "guessed": [
            "gateway (n3): a gateway, as it has no action",
            "gateway (n3): the name gateway",
            "the actions of php are in this process (if they are not: topology import --url php=URL)",
        ],
        "dropped": [
            'daily (n4): action={"name": "lost"}',
            "gateway (n3): a connection with 'elsewhere', which is no node of the file",
        ],
    }


def test_an_end_event_ends_whatever_its_type_says(tmp_path: Path) -> None:
    elements = [*ORDERS, ("endEvent", {"id": "End_1", "pipes:pipesType": "event"})]
    drawing = read_file(stored(tmp_path, "o.tplg", bpmn(elements, [*FLOWS, ("Task_ask", "End_1")])))
    assert drawing.nodes[-1].kind == "end"
