"""Files of the editor before 3.0: BPMN with attributes of the platform, `.tplg`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element

from applications.http.errors import ReplyUnreadable
from applications.http.xml import parse_xml
from worker.editor.drawing import Drawing, DrawnNode, Fate, Note, Position
from worker.errors import TopologyError

_SHAPES: Final = {"event": "start", "gateway": "gateway", "task": "custom"}
"""How the names of elements that are nodes end, and what such a node does when the file does not say."""

_GREATEST: Final = 65_535

_READ: Final = frozenset({
    "id", "name", "pipesType", "appName", "sdkHost", "sdkHostName", "cronTime", "rabbitPrefetch", "timeout",
    "repeaterEnabled", "repeaterHops", "repeaterInterval",
})  # fmt: skip

_DECORATIONS: Final = frozenset({
    "sequenceFlow", "laneSet", "textAnnotation", "association", "documentation", "extensionElements", "group",
    "dataObject", "dataObjectReference", "dataStoreReference", "ioSpecification", "property",
})  # fmt: skip


def read_bpmn(content: bytes) -> Drawing:
    """Read the nodes of all processes in the file. Raises `TopologyError` with the place in it."""
    try:
        root = parse_xml(content)
    except ReplyUnreadable as error:
        raise TopologyError(f"{error}. Export the topology from the editor again.") from None
    processes = [element for element in root.iter() if _local(element.tag) == "process"]
    if not processes:
        raise TopologyError(f"no process in it, only {_local(root.tag)!r}. Export the topology from the editor again.")
    positions, notes = dict(_positions(root)), list[Note]()
    elements = [element for process in processes for element in process]
    nodes = [_node(element, positions, notes) for element in elements if _is_node(element)]
    flows = [_attributes(element) for element in elements if _local(element.tag) == "sequenceFlow"]
    return Drawing(nodes, [(flow.get("sourceRef", ""), flow.get("targetRef", "")) for flow in flows], notes)


def _is_node(element: Element) -> bool:
    tag = _local(element.tag)
    if _shape(tag):
        return True
    if tag in _DECORATIONS:
        return False
    place = _attributes(element).get("name") or _attributes(element).get("id", "")
    raise TopologyError(f"{place}: the element {tag!r} is unknown. Draw it with events, tasks and gateways.")


def _shape(tag: str) -> str | None:
    return next((shape for shape in _SHAPES if tag.lower().endswith(shape)), None)


def _node(element: Element, positions: Mapping[str, Position], notes: list[Note]) -> DrawnNode:
    tag, attributes = _local(element.tag), _attributes(element)
    if not (id_ := attributes.get("id", "")):
        raise TopologyError(f"the node {attributes.get('name', '')!r} has no id. Export the topology again.")
    kind = "end" if tag == "endEvent" else attributes.get("pipesType", "")
    if not kind:
        kind = _kind(tag)
        notes.append(Note(Fate.GUESSED, f"the type {kind}, as the file gives none for its {tag}", id_))
    service, host = attributes.get("sdkHostName", ""), attributes.get("sdkHost", "")
    if host and not service:
        service = host.rpartition("://")[2].partition(":")[0]
        notes.append(Note(Fate.GUESSED, f"the service {service}, as only its host is given", id_))
    unread = sorted(name for name in set(attributes) - _READ if attributes[name])
    notes.extend(Note(Fate.DROPPED, f"{name}={attributes[name]!r}", id_) for name in unread)
    return DrawnNode(
        id=id_,
        name=attributes.get("name", ""),
        kind=kind,
        application=attributes.get("appName", ""),
        service=service,
        host=host,
        cron=attributes.get("cronTime", ""),
        settings=_settings(attributes, attributes.get("name") or id_),
        position=positions.get(id_),
    )


def _kind(tag: str) -> str:
    shape = _shape(tag) or ""
    return "user" if tag == "userTask" else _SHAPES[shape]


def _settings(attributes: Mapping[str, str], place: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        name: _number(attributes, name, place) for name in ("rabbitPrefetch", "timeout") if attributes.get(name)
    }
    if attributes.get("repeaterEnabled") == "true":
        interval, hops = (_number(attributes, name, place) for name in ("repeaterInterval", "repeaterHops"))
        settings["repeater"] = {"enabled": True, "interval": interval, "hops": hops}
    return settings


def _number(attributes: Mapping[str, str], name: str, place: str) -> int:
    text = attributes.get(name, "")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > _GREATEST:
        raise TopologyError(f"{place}: {name} is {text!r}. Set it to a number from 1 to {_GREATEST}.")
    return int(text)


def _positions(root: Element) -> Iterator[tuple[str, Position]]:
    for shape in root.iter():
        if _local(shape.tag) != "BPMNShape":
            continue
        bounds = next((child for child in shape if _local(child.tag) == "Bounds"), None)
        if bounds is not None:
            yield shape.get("bpmnElement", ""), (_coordinate(bounds, "x"), _coordinate(bounds, "y"))


def _coordinate(bounds: Element, name: str) -> int:
    try:
        return round(float(bounds.get(name, "0")))
    except (ValueError, OverflowError):
        return 0


def _attributes(element: Element) -> dict[str, str]:
    """Return the attributes without namespaces, which files name differently and sometimes forget."""
    return {_local(name): value.strip() for name, value in element.attrib.items()}


def _local(name: str) -> str:
    return name.rpartition("}")[2]
