"""Files of the editor since 3.0, `.tplg.json`: read and written."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from worker.editor.drawing import Drawing, DrawnNode, Fate, Note, Position
from worker.editor.kinds import ACTIONS, EVENTS
from worker.errors import TopologyError, told

_LABELS: Final = {
    "start": "Event", "cron": "Cron", "webhook": "Webhook", "signal": "Signal", "end": "End Event",
    "gateway": "Gateway", "user": "User Task",
    "connector": "Connector", "custom": "Custom Action", "batch": "Batch",
}  # fmt: skip
"""What the editor writes beside a node, by its kind. Of a circle, the label is its kind."""

_WITHOUT_ACTION: Final = frozenset({"circle", "hexagon"})

_CIRCLES: Final = {_LABELS[kind]: kind for kind in (*EVENTS, "end")}

Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class _Action(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: Text = ""
    worker: Text = ""
    type: str | None = "custom"
    app: Text = ""
    icon: Any = None
    """A picture, which the editor takes from the application again."""


class _Place(BaseModel):
    x: float = Field(0, allow_inf_nan=False)
    y: float = Field(0, allow_inf_nan=False)


class _Node(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str
    name: Text = ""
    label: Text = ""
    shape: Text = "square"
    action: _Action | None = None
    position: _Place | None = None
    type: Any = None
    property: Any = None


class _Connection(BaseModel):
    source: str = Field(alias="from")
    target: str = Field(alias="to")


class _File(BaseModel):
    nodes: list[_Node]
    connections: list[_Connection] = Field(default_factory=list)


def is_sketch(document: Any) -> bool:
    """Whether a JSON document is one of the editor, and not a topology file."""
    if not isinstance(document, Mapping):
        return False
    nodes = document.get("nodes")
    return "connections" in document or (isinstance(nodes, list) and any(map(_is_drawn, nodes)))


def _is_drawn(node: Any) -> bool:
    return isinstance(node, Mapping) and "worker" not in node and ("shape" in node or "action" in node)


def read_sketch(document: Any) -> Drawing:
    """Read the nodes. Raises `TopologyError` with the place in the document."""
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        raise TopologyError("\n".join(map(_explained, error.errors()))) from None
    notes = [note for node in file.nodes for note in _unread(node)]
    nodes = [_drawn(node, notes) for node in file.nodes]
    return Drawing(nodes, [(connection.source, connection.target) for connection in file.connections], notes)


def _explained(problem: Any) -> str:
    return f"{told(problem)}. Export the topology from the editor again."


def _unread(node: _Node) -> Iterator[Note]:
    more = {**(node.model_extra or {}), "property": node.property}
    if node.action is not None:
        has_action = node.shape not in _WITHOUT_ACTION
        more |= (
            (node.action.model_extra or {}) if has_action else {"action": node.action.model_dump(exclude_unset=True)}
        )
    for name, value in sorted(more.items()):
        if value:
            yield _dropped(name, value, node.id)


def _drawn(node: _Node, notes: list[Note]) -> DrawnNode:
    position = (round(node.position.x), round(node.position.y)) if node.position else None
    if node.shape == "circle":
        kind = _CIRCLES.get(node.label, "start")
        if node.label not in {*_CIRCLES, "Start"}:
            notes.append(Note(Fate.GUESSED, f"a start, as its label is {node.label!r}", node.id))
        return DrawnNode(node.id, node.name, kind, position=position)
    if node.shape == "hexagon":
        return DrawnNode(node.id, node.name, "user", position=position)
    if (action := node.action) is None:
        if node.label != _LABELS["gateway"]:
            notes.append(Note(Fate.GUESSED, "a gateway, as it has no action", node.id))
        return DrawnNode(node.id, node.name, "gateway", position=position)
    kind = "custom" if action.type is None else action.type
    return DrawnNode(node.id, action.name, kind, application=action.app, service=action.worker, position=position)


def not_in_sketch(drawing: Drawing) -> Iterator[Note]:
    """Yield what of a drawing the file has no place for."""
    for node in drawing.nodes:
        lost = {**node.settings, "url": node.host, "cron": node.cron}
        yield from (_dropped(name, value, node.id) for name, value in lost.items() if value)


def _dropped(name: str, value: Any, node: str) -> Note:
    return Note(Fate.DROPPED, f"{name}={json.dumps(value, ensure_ascii=False)[:80]}", node)


def written(drawing: Drawing, positions: Mapping[str, Position]) -> str:
    """Return the file that the editor imports."""
    document = {
        "nodes": [_written_node(node, positions[node.id]) for node in drawing.nodes],
        "connections": [_written_connection(source, target) for source, target in drawing.connections],
    }
    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"


def _written_node(node: DrawnNode, position: Position) -> dict[str, Any]:
    is_action = node.kind in ACTIONS
    shape = {"user": "hexagon", "end": "circle"}.get(node.kind, "circle" if node.kind in EVENTS else "square")
    action = {"name": node.name, "worker": node.service, "type": node.kind, "app": node.application or None}
    return {
        "type": "flow",
        "id": node.id,
        "label": _LABELS[node.kind],
        "shape": shape,
        "property": None,
        "action": action if is_action else None,
        "name": None if is_action else node.name,
        "position": {"x": position[0], "y": position[1]},
    }


def _written_connection(source: str, target: str) -> dict[str, str]:
    id_ = hashlib.sha256(f"{source}\n{target}".encode()).hexdigest()[:16]
    return {"id": id_, "from": source, "to": target, "sourceOutput": "output", "targetInput": "input"}
