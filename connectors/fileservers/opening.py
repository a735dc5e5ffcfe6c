"""Connecting to a file server by its URL. The libraries are imported when the first one is opened."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from connectors.fileservers.server import FileServer

PORTS: Final = {"sftp": 22, "ftp": 21}
CONNECT_SECONDS: Final = 15


@dataclass(frozen=True, slots=True)
class Address:
    """Where a file server is, and who we are to it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    @property
    def where(self) -> str:
        """Host and port, for errors."""
        return f"{self.host}:{self.port}"


def open_file_server(url: str, *, host_key: str | None = None) -> AbstractAsyncContextManager[FileServer]:
    """Connect to `sftp://user:password@host:port`, or `ftp://...`, until the context ends.

    `host_key` is the SFTP server's public key, as `ssh-keyscan` prints it without the host; without it, the keys in
    `~/.ssh/known_hosts` decide. Raises `ValueError` for another URL, without showing it; `Repeat` when the server
    is away and `Trash` when it does not let us in or is not the one it should be.
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("a file server is written as sftp://user:password@host:port or ftp://...")
    if parts.scheme == "sftp":
        return _sftp(_address(parts), host_key)
    return _ftp(_address(parts))


def _address(parts: SplitResult) -> Address:
    user, password = unquote(parts.username or "anonymous"), unquote(parts.password or "")
    return Address(parts.hostname or "", parts.port or PORTS[parts.scheme], user, password)


@asynccontextmanager
async def _sftp(address: Address, host_key: str | None) -> AsyncIterator[FileServer]:
    import asyncssh  # noqa: PLC0415 - see above

    from connectors.fileservers.sftp import SftpServer, sftp_errors  # noqa: PLC0415

    with sftp_errors(f"sftp {address.where}"):
        known = asyncssh.import_known_hosts(f"* {host_key}\n") if host_key else ()
        connection = await asyncssh.connect(
            address.host,
            address.port,
            username=address.user,
            password=address.password,
            known_hosts=known,
            client_keys=None,
            connect_timeout=CONNECT_SECONDS,
        )
    async with connection:
        with sftp_errors(f"sftp {address.where}"):
            client = await connection.start_sftp_client(path_errors="surrogateescape")
        async with client:
            yield SftpServer(client, f"sftp {address.where}")


@asynccontextmanager
async def _ftp(address: Address) -> AsyncIterator[FileServer]:
    import aioftp  # noqa: PLC0415 - see above

    from connectors.fileservers.ftp import FtpServer, ftp_errors  # noqa: PLC0415
    from connectors.fileservers.names import ESCAPED_UTF_8  # noqa: PLC0415

    client = aioftp.Client(connection_timeout=CONNECT_SECONDS, encoding=ESCAPED_UTF_8)
    try:
        with ftp_errors(f"ftp {address.where}"):
            await client.connect(address.host, address.port)
            await client.login(address.user, address.password)
        yield FtpServer(client, f"ftp {address.where}")
    finally:
        client.close()
