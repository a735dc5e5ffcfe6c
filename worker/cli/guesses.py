"""What is left open in a file of the editor, for commands that take it as it is."""

from collections.abc import Mapping
from pathlib import Path

from worker.editor.document import not_in_document
from worker.editor.drawing import Drawing, Fate
from worker.editor.reading import read_file


def guesses(path: Path) -> Mapping[str, list[str]]:
    """Return what was guessed and what was dropped of a file that can be loaded; nothing of a `topology.json`."""
    read = read_file(path)
    if not isinstance(read, Drawing):
        return {}
    names = {node.id: f"{node}: " for node in read.nodes}
    found: dict[str, list[str]] = {fate.value: [] for fate in Fate}
    for note in (*read.notes, *not_in_document(read, {})):
        found[note.fate.value].append(f"{names.get(note.node, '')}{note.text}")
    return found
