"""Plain FTP through aioftp."""

from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import aioftp

from connectors.files import PIECE_BYTES
from connectors.fileservers.server import UNFINISHED, RemoteFile, checked
from connectors.outcome import Repeat, Trash
from connectors.rules import DEFAULT_REPEAT


class FtpServer:
    """A file server that speaks FTP."""

    def __init__(self, client: aioftp.Client, where: str) -> None:
        self._client = client
        self._where = where

    async def list(self, folder: str) -> Sequence[RemoteFile]:
        """Return what is in a folder."""
        with ftp_errors(f"{self._where}{folder}"):
            await self._client.change_directory(checked(folder))  # a missing one lists as empty otherwise
            found = [_remote_file(path.name, info) async for path, info in self._client.list(folder)]
        return sorted(found, key=lambda file: file.name)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield a file's content."""
        with ftp_errors(f"{self._where}{path}"), self._whole_or_closed():
            async with self._client.download_stream(checked(path)) as stream:
                async for piece in stream.iter_by_block(PIECE_BYTES):
                    yield piece

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> None:
        """Write a file under another name, and give it its own at the end."""
        with ftp_errors(f"{self._where}{path}"):
            with self._whole_or_closed():
                async with self._client.upload_stream(f"{checked(path)}{UNFINISHED}") as stream:
                    async for chunk in chunks:
                        await stream.write(chunk)
            await self._put_in_place(path)

    async def _put_in_place(self, path: str) -> None:
        """Rename what is whole. Some servers do not rename over a file: then the old one goes first."""
        try:
            await self._client.rename(f"{path}{UNFINISHED}", path)
        except aioftp.StatusCodeError:
            await self._client.remove_file(path)
            await self._client.rename(f"{path}{UNFINISHED}", path)

    @contextmanager
    def _whole_or_closed(self) -> Iterator[None]:
        """Close a connection whose transfer broke off: its late reply would be taken for that of the next command."""
        try:
            yield
        except BaseException:
            self._client.close()
            raise

    async def rename(self, path: str, to: str) -> None:
        """Give a file another path."""
        with ftp_errors(f"{self._where}{path}"):
            await self._client.rename(checked(path), checked(to))

    async def delete(self, path: str) -> None:
        """Delete a file."""
        with ftp_errors(f"{self._where}{path}"):
            await self._client.remove_file(checked(path))


def _remote_file(name: str, info: object) -> RemoteFile:
    facts = {str(key): str(value) for key, value in dict(info).items()}  # type: ignore[call-overload]  # a TypedDict
    modified = facts.get("modify", "")[:14]
    moment = datetime.strptime(modified, "%Y%m%d%H%M%S").replace(tzinfo=UTC) if len(modified) == 14 else None  # noqa: PLR2004
    return RemoteFile(name, facts.get("type") == "dir", int(facts.get("size", 0)), moment)


@contextmanager
def ftp_errors(what: str) -> Iterator[None]:
    """Turn what goes wrong into outcomes.

    Raises `Repeat` for a lost connection and 4yz, which is worth another try, and `Trash` for 5yz (RFC 959, 4.2.1).
    """
    try:
        yield
    except aioftp.StatusCodeError as error:
        reason = f"{what}: {' '.join(map(str, error.received_codes))} {' '.join(error.info).strip()}"
        if all(str(code).startswith("4") for code in error.received_codes):
            raise Repeat(DEFAULT_REPEAT, reason) from error
        raise Trash(reason) from error
    except (OSError, EOFError) as error:
        raise Repeat(DEFAULT_REPEAT, f"{what}: {type(error).__name__}: {error}") from error
