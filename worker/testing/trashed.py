"""Trashed messages as test fixtures: what `orchesty-worker trash export` wrote."""

from pathlib import Path

from worker.trash import Entry
from worker.trash.transfer import from_line


def load_trash(path: str | Path) -> list[Entry]:
    """Return the entries of a file; give one to `run_action` as its data, or to `InMemoryTopology.send`.

    Raises `ValueError` that names the line that is wrong.
    """
    entries = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                entries.append(from_line(line))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return entries
