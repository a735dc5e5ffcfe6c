"""What the editor calls the types of nodes, and what they are in a topology file."""

from dataclasses import replace
from typing import Final

from worker.editor.drawing import Drawing, DrawnNode, Fate, Note
from worker.errors import TopologyError

EVENTS: Final = ("start", "cron", "webhook", "signal")
"""Kinds of nodes at which a run begins."""

ACTIONS: Final = {"connector": "worker.http", "custom": "worker.custom_node", "batch": "worker.batch"}
"""Kinds of nodes with an action, and the type of each in a topology file."""

WORKERS: Final = {**dict.fromkeys((*EVENTS, "end", "gateway"), "worker.null"), **ACTIONS, "user": "worker.user"}
"""All kinds."""

_FORMER: Final = {
    "batch_connector": "batch",
    "splitter": "batch",
    "mapper": "custom",
    "debug": "gateway",
}
"""Kinds that the platform once had, and what does the same now."""


def in_use(drawing: Drawing) -> Drawing:
    """Return the drawing with kinds of today and a name for each node. Raises `TopologyError` for unknown kinds."""
    notes = list(drawing.notes)
    nodes = [_named(_of_today(node, notes), notes) for node in drawing.nodes]
    return replace(drawing, nodes=nodes, notes=notes)


def _of_today(node: DrawnNode, notes: list[Note]) -> DrawnNode:
    if node.kind in WORKERS:
        return node
    if node.kind not in _FORMER:
        raise TopologyError(
            f"{node}: the type {node.kind!r} is unknown. Use one of: {', '.join(sorted({*WORKERS, *_FORMER}))}."
        )
    kind = _FORMER[node.kind]
    notes.append(Note(Fate.GUESSED, f"a {kind}, as there is no {node.kind} any more", node.id))
    return replace(node, kind=kind)


def _named(node: DrawnNode, notes: list[Note]) -> DrawnNode:
    if node.name and not (node.kind in ACTIONS and "/" in node.name):
        return node
    if node.kind in ACTIONS:
        problem = "has no action" if not node.name else f"names the action {node.name!r}, and a name has no /"
        raise TopologyError(f"the {node.kind} {node.id} {problem}. Choose an action for it in the editor.")
    name = "user-task" if node.kind == "user" else node.kind
    notes.append(Note(Fate.GUESSED, f"the name {name}", node.id))
    return replace(node, name=name)
