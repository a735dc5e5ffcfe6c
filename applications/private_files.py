"""Files that only the user of this process may read, whatever its umask: they hold data and secrets of customers."""

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_making = Lock()


def make_private_folder(folder: Path) -> None:
    """Make the folder, and those above it that are missing; one that exists keeps its mode."""
    for missing in reversed([place for place in (folder, *folder.parents) if not place.is_dir()]):
        missing.mkdir(mode=FOLDER_MODE, exist_ok=True)


def private(path: str, flags: int) -> int:
    """Open a file as `open(..., opener=private)` does; one that exists keeps its mode."""
    return os.open(path, flags, FILE_MODE)


def make_private_file(path: Path) -> None:
    """Make an empty file in a folder that is there; one that exists stays as it is, and is not opened.

    Opening and closing an SQLite file would drop the locks that this process has on it (POSIX, `fcntl`): others would
    write at the same time. Nor may another thread open it before it is closed here.
    """
    with _making, suppress(FileExistsError):
        os.close(private(str(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
