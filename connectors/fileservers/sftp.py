"""SFTP through asyncssh."""

import os
import posixpath
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import asyncssh

from connectors.files import PIECE_BYTES
from connectors.fileservers.server import UNFINISHED, RemoteFile, checked
from connectors.outcome import Repeat, Trash
from connectors.rules import DEFAULT_REPEAT


class SftpServer:
    """A file server that speaks SFTP."""

    def __init__(self, client: asyncssh.SFTPClient, where: str) -> None:
        self._client = client
        self._where = where

    async def list(self, folder: str) -> Sequence[RemoteFile]:
        """Return what is in a folder."""
        with sftp_errors(f"{self._where}{folder}"):
            entries = await self._client.readdir(checked(folder))
        found = [_remote_file(entry) for entry in entries if entry.filename not in {".", "..", b".", b".."}]
        return sorted(found, key=lambda file: file.name)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield a file's content."""
        with sftp_errors(f"{self._where}{path}"):
            async with self._client.open(checked(path), "rb") as file:
                while piece := await file.read(PIECE_BYTES):
                    yield piece if isinstance(piece, bytes) else piece.encode()

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> None:
        """Write a file under another name, and give it its own at the end."""
        with sftp_errors(f"{self._where}{path}"):
            async with self._client.open(f"{checked(path)}{UNFINISHED}", "wb") as file:
                async for chunk in chunks:
                    await file.write(chunk)
            await self._replace(f"{path}{UNFINISHED}", path)

    async def _replace(self, path: str, to: str) -> None:
        """Give a file another path, also where a file has it already."""
        with suppress(asyncssh.SFTPOpUnsupported):
            await self._client.posix_rename(path, to)
            return
        if await self._client.exists(to):  # a plain rename may refuse to replace it
            await self._client.remove(to)
        await self._client.rename(path, to)

    async def rename(self, path: str, to: str) -> None:
        """Give a file another path."""
        with sftp_errors(f"{self._where}{path}"):
            await self._client.rename(checked(path), checked(to))

    async def delete(self, path: str) -> None:
        """Delete a file."""
        with sftp_errors(f"{self._where}{path}"):
            await self._client.remove(checked(path))


def _remote_file(entry: asyncssh.SFTPName) -> RemoteFile:
    name = entry.filename if isinstance(entry.filename, str) else os.fsdecode(entry.filename)
    attributes = entry.attrs
    modified = datetime.fromtimestamp(attributes.mtime, UTC) if attributes.mtime is not None else None
    is_folder = attributes.type == asyncssh.FILEXFER_TYPE_DIRECTORY
    return RemoteFile(posixpath.basename(name), is_folder, attributes.size or 0, modified)


@contextmanager
def sftp_errors(what: str) -> Iterator[None]:
    """Turn what goes wrong into outcomes.

    Raises `Repeat` for a lost connection, and `Trash` for what the server refuses, and for keys that do not fit.
    """
    try:
        yield
    except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as error:
        raise Repeat(DEFAULT_REPEAT, f"{what}: {error.reason}") from error
    except asyncssh.SFTPError as error:
        raise Trash(f"{what}: {type(error).__name__}: {error.reason}") from error
    except (asyncssh.PermissionDenied, asyncssh.HostKeyNotVerifiable, asyncssh.KeyImportError) as error:
        raise Trash(f"{what}: {type(error).__name__}: {error}") from error
    except (asyncssh.DisconnectError, OSError) as error:
        raise Repeat(DEFAULT_REPEAT, f"{what}: {type(error).__name__}: {error}") from error
