"""Files on FTP and SFTP servers: one suite for both."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aioftp
import asyncssh
import pytest

from connectors import Repeat, Trash
from connectors.fileservers import FileServer, open_file_server
from connectors.fileservers.names import ESCAPED_UTF_8

KEY = asyncssh.generate_private_key("ssh-ed25519")
PUBLIC = KEY.export_public_key().decode().strip()
OTHER = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


class Passwords(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("ann", "hunter2")


@pytest.fixture
async def sftp(tmp_path: Path) -> AsyncIterator[str]:
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Passwords,
        server_host_keys=[KEY],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=bytes(tmp_path)),
    )
    yield f"sftp://ann:hunter2@127.0.0.1:{server.get_port()}"
    server.close()
    await server.wait_closed()


@pytest.fixture
async def ftp(tmp_path: Path) -> AsyncIterator[str]:
    server = aioftp.Server([aioftp.User("ann", "hunter2", base_path=tmp_path)], encoding=ESCAPED_UTF_8)
    await server.start("127.0.0.1", 0)
    yield f"ftp://ann:hunter2@127.0.0.1:{server.server_port}"
    await server.close()


@pytest.fixture(params=["sftp", "ftp"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
async def files(url: str) -> AsyncIterator[FileServer]:
    async with open_file_server(url, host_key=PUBLIC) as opened:
        yield opened


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_files_are_written_listed_read_moved_and_deleted(files: FileServer, tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    content = [bytes([n]) * 300_000 for n in range(10)]
    await files.write("/orders.csv", pieces(*content))
    assert [(file.name, file.is_folder) for file in await files.list("/")] == [("done", True), ("orders.csv", False)]
    (listed,) = (file for file in await files.list("/") if not file.is_folder)
    assert listed.size == 3_000_000
    assert listed.modified is not None
    assert await read_all(files, "/orders.csv") == b"".join(content)
    await files.rename("/orders.csv", "/done/orders.csv")
    assert [file.name for file in await files.list("/done")] == ["orders.csv"]
    await files.delete("/done/orders.csv")
    assert list(await files.list("/done")) == []


async def test_a_file_is_replaced_as_a_whole(files: FileServer) -> None:
    await files.write("/a", pieces(b"old and long"))
    await files.write("/a", pieces(b"new"))
    assert await read_all(files, "/a") == b"new"


async def test_half_a_file_does_not_get_its_name(files: FileServer, tmp_path: Path) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError("the source broke off")

    with pytest.raises(ValueError, match="broke off"):
        await files.write("/a", breaking())
    assert not (tmp_path / "a").exists()


async def read_all(files: FileServer, path: str) -> bytes:
    return b"".join([piece async for piece in files.read(path)])


@pytest.mark.parametrize(
    "call",
    [
        lambda files: read_all(files, "/missing"),
        lambda files: files.list("/missing"),
        lambda files: files.delete("/missing"),
        lambda files: files.rename("/missing", "/b"),
    ],
    ids=["read", "list", "delete", "rename"],
)
async def test_what_is_not_there_goes_to_the_trash(files: FileServer, call: Callable[[FileServer], Any]) -> None:
    with pytest.raises(Trash, match=r"127\.0\.0\.1:\d+/missing: "):
        await call(files)


@pytest.mark.parametrize("path", ["/../etc/passwd", "/a/../../b", "relative", "/a\r\nDELE b", ""])
async def test_a_path_cannot_lead_elsewhere(files: FileServer, path: str) -> None:
    with pytest.raises(ValueError, match="is not a path of a file server"):
        await files.delete(path)


async def test_a_wrong_password_goes_to_the_trash_and_is_not_shown(url: str) -> None:
    with pytest.raises(Trash) as error:
        async with open_file_server(url.replace("hunter2", "hunter3"), host_key=PUBLIC):
            pass
    assert "hunter3" not in str(error.value)


async def test_a_server_that_is_away_is_asked_again(url: str) -> None:
    with pytest.raises(Repeat, match=r"127\.0\.0\.1:1"):
        async with open_file_server(f"{url.rpartition(':')[0]}:1", host_key=PUBLIC):
            pass


async def test_an_sftp_server_with_another_key_is_not_trusted(sftp: str) -> None:
    for key in (OTHER, None):
        with pytest.raises(Trash, match="HostKeyNotVerifiable"):
            async with open_file_server(sftp, host_key=key):
                pass


@pytest.mark.parametrize("wrong", ["", "http://hunter2", "sftp://"])
def test_an_address_that_is_none_is_refused_without_showing_it(wrong: str) -> None:
    with pytest.raises(ValueError, match="sftp://user:password@host") as error:
        open_file_server(wrong)
    assert "hunter2" not in str(error.value)


class WithoutPosixRename(asyncssh.SFTPServer):
    """As older servers are, which also refuse to rename over a file."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        if Path(os.fsdecode(self.map_path(newpath))).exists():
            raise asyncssh.SFTPFailure("file exists")
        super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("no such extension")


@asynccontextmanager
async def old_server(folder: Path) -> AsyncIterator[FileServer]:
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Passwords,
        server_host_keys=[KEY],
        sftp_factory=lambda channel: WithoutPosixRename(channel, chroot=bytes(folder)),
    )
    try:
        url = f"sftp://ann:hunter2@127.0.0.1:{server.get_port()}"
        async with open_file_server(url, host_key=PUBLIC) as opened:
            yield opened
    finally:
        server.close()
        await server.wait_closed()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


async def test_a_server_without_posix_rename_keeps_no_part_and_replaces_files(tmp_path: Path) -> None:
    async with old_server(tmp_path) as files:
        for content in (b"first", b"second"):
            await files.write("/a.csv", pieces(content))
            assert contents(tmp_path) == {"a.csv": content}


async def test_a_name_that_is_not_utf_8_blocks_no_folder(files: FileServer, tmp_path: Path) -> None:
    put(tmp_path, {"ž.csv": b"2", os.fsdecode(b"caf\xe9.csv"): b"1"})
    names = [file.name for file in await files.list("/")]
    assert sorted(names) == sorted(["ž.csv", os.fsdecode(b"caf\xe9.csv")])
    assert sorted([await read_all(files, f"/{name}") for name in names]) == [b"1", b"2"]
    await files.rename(f"/{names[-1]}", "/plain.csv")
    await files.rename("/plain.csv", f"/{names[-1]}")
    await files.delete(f"/{names[-1]}")
    assert len(await files.list("/")) == 1
