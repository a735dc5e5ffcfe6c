"""Files that only the user of this process may read, whatever its umask: they hold data and secrets of customers."""

import os
from pathlib import Path
from typing import Final

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600


def make_private_folder(folder: Path) -> None:
    """Make the folder, and those above it that are missing; one that exists keeps its mode."""
    for missing in reversed([place for place in (folder, *folder.parents) if not place.is_dir()]):
        missing.mkdir(mode=FOLDER_MODE, exist_ok=True)


def private(path: str, flags: int) -> int:
    """Open a file as `open(..., opener=private)` does; one that exists keeps its mode."""
    return os.open(path, flags, FILE_MODE)


def make_private_file(path: Path) -> None:
    """Make an empty file in a folder that is there; one that exists stays as it is."""
    os.close(private(str(path), os.O_CREAT | os.O_RDONLY))
