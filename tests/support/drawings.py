"""Files of the platform's editor, in both of its formats: a shop whose orders go to a warehouse."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Attributes = Mapping[str, str]

ORDERS: Sequence[tuple[str, Attributes]] = (
    ("event", {"id": "Event_1", "pipes:pipesType": "cron", "pipes:cronTime": "0 6 * * *", "name": "each-morning"}),
    ("task", {
        "id": "Task_list", "pipes:pipesType": "batch", "name": "shop-list-orders", "pipes:appName": "shop",
        "pipes:sdkHost": "shop-service:8080", "pipes:sdkHostName": "shop-service", "pipes:rabbitPrefetch": "5",
    }),
    ("task", {
        "id": "Task_vat", "pipes:pipesType": "custom", "name": "add-vat",
        "pipes:sdkHost": "shop-service:8080", "pipes:sdkHostName": "shop-service",
    }),
    ("exclusiveGateway", {"id": "Gateway_1"}),
    ("task", {
        "id": "Task_store", "pipes:pipesType": "connector", "name": "store-order", "pipes:appName": "warehouse",
        "pipes:repeaterEnabled": "true", "pipes:repeaterHops": "9", "pipes:repeaterInterval": "60",
    }),
    ("userTask", {"id": "Task_ask", "name": "ask"}),
)  # fmt: skip

FLOWS = (
    ("Event_1", "Task_list"),
    ("Task_list", "Task_vat"),
    ("Task_vat", "Gateway_1"),
    ("Gateway_1", "Task_store"),
    ("Gateway_1", "Task_ask"),
)


def bpmn(
    elements: Sequence[tuple[str, Attributes]] = ORDERS,
    flows: Sequence[tuple[str, str]] = FLOWS,
    *,
    before: str = "",
) -> str:
    """Return a file of the editor before 3.0."""
    nodes = "".join(f"<bpmn:{tag} {_written(attributes)}/>" for tag, attributes in elements)
    lines = "".join(
        f'<bpmn:sequenceFlow id="Flow_{number}" sourceRef="{source}" targetRef="{target}"/>'
        for number, (source, target) in enumerate(flows)
    )
    shapes = "".join(
        f'<bpmndi:BPMNShape bpmnElement="{attributes["id"]}"><dc:Bounds x="{number * 100}" y="40"/></bpmndi:BPMNShape>'
        for number, (_, attributes) in enumerate(elements)
        if "id" in attributes
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<bpmn:definitions '
        'xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:pipes="http://www.omg.org/spec/Pipes" '
        'xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC">'
        f'<bpmn:process id="Process_1">{nodes}{lines}</bpmn:process>'
        f"<bpmndi:BPMNDiagram><bpmndi:BPMNPlane>{shapes}</bpmndi:BPMNPlane></bpmndi:BPMNDiagram></bpmn:definitions>"
    )


def _written(attributes: Attributes) -> str:
    return " ".join(f'{name}="{value}"' for name, value in attributes.items())


def circle(id_: str, label: str = "Event", name: str | None = None) -> dict[str, Any]:
    """Return an event of a file since 3.0."""
    return {"id": id_, "type": "flow", "shape": "circle", "label": label, "name": name, "action": None}


def square(id_: str, type_: str, name: str, app: str | None = None, worker: str = "") -> dict[str, Any]:
    """Return a node with an action of a file since 3.0."""
    action = {"name": name, "type": type_, "app": app, "worker": worker}
    return {"id": id_, "type": "flow", "shape": "square", "label": "", "name": None, "action": action}


def sketch(*nodes: Mapping[str, Any], flows: Sequence[tuple[str, str]] = ()) -> str:
    """Return a file of the editor since 3.0."""
    connections = [
        {"id": f"c{number}", "from": source, "to": target, "sourceOutput": "output", "targetInput": "input"}
        for number, (source, target) in enumerate(flows)
    ]
    return json.dumps({"nodes": nodes, "connections": connections})


def stored(folder: Path, name: str, content: str) -> Path:
    """Write the file."""
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path
