"""What must hold of a drawing before it can run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from worker.editor.drawing import Drawing, DrawnNode, Fate, Note
from worker.editor.kinds import EVENTS
from worker.errors import TopologyError

_MOST_NODES: Final = 5_000

Connections = Sequence[tuple[str, str]]


def checked(drawing: Drawing) -> Drawing:
    """Return the drawing without the connections that mean nothing. Raises `TopologyError` for one that cannot run."""
    if not drawing.nodes:
        raise TopologyError("there are no nodes. Export the topology from the editor again.")
    if len(drawing.nodes) > _MOST_NODES:
        raise TopologyError(f"{len(drawing.nodes)} nodes are too many, {_MOST_NODES} are allowed. Divide the topology.")
    nodes = {node.id: node for node in drawing.nodes}
    if twice := [id_ for id_, count in Counter(node.id for node in drawing.nodes).items() if count > 1]:
        raise TopologyError(f"several nodes have the id {', '.join(twice)}. Give each node an id of its own.")
    connections, dropped = _meaningful(drawing.connections, nodes)
    _check_circles(nodes, connections)
    _check_start(drawing.nodes, connections)
    return replace(drawing, connections=connections, notes=[*drawing.notes, *dropped])


def _meaningful(
    connections: Iterable[tuple[str, str]], nodes: Mapping[str, DrawnNode]
) -> tuple[list[tuple[str, str]], list[Note]]:
    kept: dict[tuple[str, str], None] = {}
    dropped = []
    for source, target in connections:
        if missing := [end for end in (source, target) if end not in nodes]:
            known = next((end for end in (source, target) if end in nodes), "")
            text = f"a connection with {', '.join(map(repr, missing))}, which is no node of the file"
            dropped.append(Note(Fate.DROPPED, text, known))
        elif (source, target) in kept:
            dropped.append(Note(Fate.DROPPED, f"a second connection to {nodes[target]}", source))
        else:
            kept[source, target] = None
    return list(kept), dropped


def _check_circles(nodes: Mapping[str, DrawnNode], connections: Connections) -> None:
    if circle := next(_circles(connections), None):
        way = " → ".join(str(nodes[id_]) for id_ in circle)
        raise TopologyError(
            f"these nodes go in circles, so a message would never end: {way}. Delete one of these connections."
        )


def _circles(connections: Connections) -> Iterator[list[str]]:
    """Yield the ids along a circle, the first one again at the end; without recursion, as files may be deep."""
    followers: dict[str, list[str]] = {}
    for source, target in connections:
        followers.setdefault(source, []).append(target)
    done: set[str] = set()
    for root in followers:
        path: dict[str, Iterator[str]] = {}
        follower: str | None = root
        while follower is not None or path:
            if follower is None:
                done.add(path.popitem()[0])
            elif follower in path:
                ids = list(path)
                yield [*ids[ids.index(follower) :], follower]
            elif follower not in done:
                path[follower] = iter(followers.get(follower, ()))
            follower = next(path[next(reversed(path))], None) if path else None


def _check_start(nodes: Sequence[DrawnNode], connections: Connections) -> None:
    targets = {target for _, target in connections}
    if not any(node.kind in EVENTS and node.id not in targets for node in nodes):
        raise TopologyError(
            "no run can begin: there is no start. Draw a start, cron or webhook event before the first node."
        )
