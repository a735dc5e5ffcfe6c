"""Several processes, one of which dies: one refresh, and the token that the service issued last is kept."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support import prepared
from support.accounts import KEY, database_of, install_books, log_in, opened
from support.databases import MakeDatabase
from support.oauth_server import OAuthServer

from applications.accounts import Accounts
from worker.accounts.tables import installs

TESTS = Path(__file__).parent.parent


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    return make_database(request.param)


@pytest.fixture
async def accounts(url: str, tmp_path: Path, server: OAuthServer) -> AsyncIterator[Accounts]:
    async with opened(url, tmp_path) as found:
        await install_books(found, server)
        await log_in(found, server, age=4000)
        yield found


Refresher = tuple[prepared.Prepared, asyncio.StreamReader]


async def start(url: str, directory: Path, step: str = "") -> Refresher:
    arguments = (url, str(directory), KEY, *([step] if step else []))
    return await prepared.talking(arguments, {**os.environ, "PYTHONPATH": str(TESTS)}, module="support.refresher")


async def statuses(refresher: Refresher) -> str:
    return (await refresher[1].read()).decode().rpartition("statuses")[2].strip()


async def stored_token(accounts: Accounts) -> str:
    install = await accounts.installs.get("alice", "books")
    assert install is not None
    token = accounts.installs.token(install)
    assert token is not None
    return token.access_token


async def end_lease(accounts: Accounts) -> None:
    """Let the time of a dead process's lease pass."""
    async with database_of(accounts).transaction() as connection:
        await connection.execute(installs.update().values(lease_until=0))


async def test_two_processes_with_fifty_tasks_make_one_refresh(
    accounts: Accounts, server: OAuthServer, url: str, tmp_path: Path
) -> None:
    processes = [await start(url, tmp_path) for _ in range(2)]
    assert [await statuses(process) for process in processes] == ["200", "200"]
    assert len(server.calls) == 1
    assert await stored_token(accounts) == server.issued[-1]


@pytest.mark.parametrize(("step", "calls"), [("leased", 1), ("arrived", 2), ("written", 1), ("saved", 1)])
async def test_the_winner_of_two_processes_dies_and_the_token_issued_last_is_kept(
    accounts: Accounts, server: OAuthServer, url: str, tmp_path: Path, step: str, calls: int
) -> None:
    """A reply that arrived and was not written down yet is lost: there the service takes the old token again."""
    server.grace_seconds = 60
    processes = [await start(url, tmp_path, step) for _ in range(2)]
    ends = [asyncio.create_task(ended(process)) for process in processes]
    (first,), (last,) = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    assert first.result()[0] == -9
    if step in {"leased", "arrived"}:
        await end_lease(accounts)
    assert await last == (0, "200")
    assert len(server.calls) == calls
    assert await stored_token(accounts) == server.issued[-1]


async def ended(refresher: Refresher) -> tuple[int, str]:
    said = await statuses(refresher)
    return await refresher[0].watched(), said


async def test_the_winner_dies_while_the_service_answers(
    accounts: Accounts, server: OAuthServer, url: str, tmp_path: Path
) -> None:
    """The reply is lost on the way: where the service takes the old refresh token again, nothing is lost."""
    server.grace_seconds, server.held_reply = 60, asyncio.Event()
    dying, _ = await start(url, tmp_path)
    await server.arrived.wait()
    other = await start(url, tmp_path)
    dying.send_signal(signal.SIGKILL)
    await dying.watched()
    server.held_reply.set()
    await end_lease(accounts)
    assert await statuses(other) == "200"
    assert len(server.calls) == 2
    assert await stored_token(accounts) == server.issued[-1]
