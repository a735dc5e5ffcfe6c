"""Where nodes stand that nobody has placed: followers on the right, in rows."""

from collections import Counter
from collections.abc import Mapping

from worker.editor.drawing import Drawing, Position

_COLUMN, _ROW = 220, 160


def positions(drawing: Drawing) -> Mapping[str, Position]:
    """Return a place for each node of a drawing without circles: as it is drawn if all are, else a new one for each."""
    drawn = {node.id: node.position for node in drawing.nodes if node.position is not None}
    if len(set(drawn.values())) == len(drawing.nodes):
        return drawn
    rows: Counter[int] = Counter()
    placed = {}
    for id_, column in _columns(drawing).items():
        placed[id_] = (column * _COLUMN, rows[column] * _ROW)
        rows[column] += 1
    return placed


def _columns(drawing: Drawing) -> Mapping[str, int]:
    """Return how many connections the longest way to each node has."""
    columns = {node.id: 0 for node in drawing.nodes}
    followers: dict[str, list[str]] = {node.id: [] for node in drawing.nodes}
    waits = Counter(target for _, target in drawing.connections)
    for source, target in drawing.connections:
        followers[source].append(target)
    ready = [id_ for id_ in columns if not waits[id_]]
    for id_ in ready:
        for target in followers[id_]:
            columns[target] = max(columns[target], columns[id_] + 1)
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    return columns
