"""Topology files in three formats, told apart by what is in them: topology.json, `.tplg.json` and BPMN."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from worker.editor.bpmn import read_bpmn
from worker.editor.checking import checked
from worker.editor.document import document_of, guesses_of
from worker.editor.drawing import Drawing
from worker.editor.kinds import in_use
from worker.editor.sketch import is_sketch, read_sketch
from worker.errors import TopologyError, readable

_MOST_BYTES: Final = 8 * 1024 * 1024
_BEFORE_XML: Final = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
_ENDINGS: Final = (".tplg.json", ".tplg", ".bpmn", ".json", ".xml")


def read_document(path: Path) -> tuple[Any, Mapping[str, Sequence[str]]]:
    """Return the JSON value of a topology file, which a file of the editor is turned into, and what is open in that.

    Raises `OSError`, `ValueError` for what is no JSON, `RecursionError`, and `TopologyError` for a file of the editor
    that cannot run.
    """
    read = read_file(path)
    return (document_of(read, name_of(path), {}), guesses_of(read)) if isinstance(read, Drawing) else (read, {})


def read_file(path: Path) -> Any:
    """Return the `Drawing` of a file of the editor, or the JSON value of another one. Raises as `read_document`."""
    content = path.read_bytes()
    if content.lstrip(_BEFORE_XML).startswith(b"<"):
        _check_size(content)
        return checked(in_use(read_bpmn(content)))
    document = json.loads(content)
    _check_texts(document)
    if not is_sketch(document):
        return document
    _check_size(content)
    return checked(in_use(read_sketch(document)))


def _check_texts(document: Any) -> None:
    """Refuse halves of surrogate pairs, which no message can carry."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        near = readable(error.object[max(error.start - 20, 0) : error.end + 20])
        raise TopologyError(f"half of a surrogate pair is no text: {near}. Write whole characters.") from None


def _check_size(content: bytes) -> None:
    if len(content) > _MOST_BYTES:
        raise TopologyError(
            f"{len(content) / 2**20:.0f} MB are too many, {_MOST_BYTES // 2**20} MB are allowed. Divide the topology."
        )


def name_of(path: Path) -> str:
    """Return the name of the topology in a file of the editor, which is in the file's own name only."""
    return next((path.name.removesuffix(ending) for ending in _ENDINGS if path.name.endswith(ending)), path.name)
