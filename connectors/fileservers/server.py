"""What a file server can do, whichever protocol it speaks."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

UNFINISHED = ".part"
"""Ends the name of a file that is not whole yet."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file or folder in a listing."""

    name: str
    """Bytes that are not UTF-8 are surrogates, as in `os.fsdecode`: the name leads to the file, and is no JSON."""
    is_folder: bool
    size: int
    modified: datetime | None


class FileServer(Protocol):
    """An open connection to a file server. Paths are absolute; one with `..` is refused by `ValueError`.

    What is not there or not allowed raises `Trash`, a connection that is lost `Repeat`.
    """

    async def list(self, folder: str) -> Sequence[RemoteFile]:
        """Return what is in a folder, by name, without `.` and `..`."""

    def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield a file's content in pieces."""

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> None:
        """Write a file. It gets its name when it is whole, so that nobody reads half of it.

        When `chunks` break off, the connection may be used no more.
        """

    async def rename(self, path: str, to: str) -> None:
        """Give a file another path, such as that of a folder of files that are done."""

    async def delete(self, path: str) -> None:
        """Delete a file."""


def checked(path: str) -> str:
    """Return the path. Raises `ValueError` when it is relative or leads upwards."""
    if not path.startswith("/") or ".." in path.split("/") or any(sign in path for sign in "\0\r\n"):
        raise ValueError(f"{path!r} is not a path of a file server: absolute, without .. and line breaks")
    return path
