"""Token endpoints that are away, and for how long they are left alone; a database that is away."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.accounts import database_of, install_books, log_in, opened
from support.databases import MakeDatabase, private_postgres
from support.oauth_application import Books
from support.oauth_server import OAuthServer

from applications import Application, Token, TokenExchange
from applications.accounts import Accounts
from applications.authentication import TokenCall
from applications.errors import TokenEndpointAway
from applications.http.response import Response
from worker.accounts.tables import installs


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture(params=["sqlite", "postgresql"])
async def here(request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(make_database(request.param), tmp_path) as found:
        yield found


async def ask(accounts: Accounts, application: type[Application] = Books) -> Response:
    client = await accounts.client(application, "alice")
    return await client.get("/orders")


async def after_failures(accounts: Accounts, failures: int) -> None:
    """Let the token endpoint have been away so often, and the pause after that be over."""
    async with database_of(accounts).transaction() as connection:
        await connection.execute(installs.update().values(failures=failures, retry_at=0))


@pytest.mark.parametrize(
    ("failures", "asked", "shortest", "longest"),
    [
        (0, None, 5, 5),
        (4, None, 8, 16),
        (5, None, 16, 32),
        (6, None, 32, 64),
        (30, None, 150, 300),
        (0, "120", 120, 120),
        (30, "120", 150, 300),
        (0, "999999", 3600, 3600),
    ],
)
async def test_the_pause_grows_with_the_failures_and_is_never_shorter_than_asked(
    here: Accounts, server: OAuthServer, failures: int, asked: str | None, shortest: float, longest: float
) -> None:
    async def refuse() -> web.Response:
        return web.Response(status=503, headers={"Retry-After": asked} if asked else {})

    await install_books(here, server)
    await log_in(here, server, age=4000)
    server.misbehaviour = refuse
    await after_failures(here, failures)
    with pytest.raises(TokenEndpointAway) as raised:
        await ask(here)
    assert shortest <= raised.value.after.total_seconds() <= longest
    (found,) = await here.installs.list()
    assert found.failures == failures + 1
    assert shortest - 5 < found.retry_at / 1000 - time.time() <= longest


async def test_a_date_in_retry_after_is_compared_with_the_services_clock(here: Accounts, server: OAuthServer) -> None:
    async def refuse() -> web.Response:
        sent, then = "Tue, 24 Nov 2026 13:00:00 GMT", "Tue, 24 Nov 2026 13:01:30 GMT"
        return web.Response(status=429, headers={"Date": sent, "Retry-After": then})

    await install_books(here, server)
    await log_in(here, server, age=4000)
    server.misbehaviour = refuse
    with pytest.raises(TokenEndpointAway) as raised:
        await ask(here)
    assert raised.value.after.total_seconds() == 90


async def hanging_exchange(settings: Mapping[str, str], call: TokenCall) -> Token:
    await asyncio.Event().wait()
    raise AssertionError("nothing ends the wait")


class Hanging(Books):
    key = "hanging"
    authentication = TokenExchange(hanging_exchange)


async def test_an_exchange_that_hangs_ends_before_its_lease(
    here: Accounts, server: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("applications.tokens.LEASE_SECONDS", 5.2)
    await install_books(here, server, application=Hanging)
    async with asyncio.timeout(10):
        with pytest.raises(TokenEndpointAway, match="took too long"):
            await ask(here, Hanging)
    (found,) = await here.installs.list()
    assert (found.state, found.failures) == ("enabled", 1)


async def test_a_token_that_the_database_does_not_take_waits_in_the_journal_and_the_call_goes_on(
    tmp_path: Path, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    with private_postgres() as database:
        async with OAuthServer().serve() as server, opened(database.url, tmp_path) as accounts:
            await install_books(accounts, server)
            await log_in(accounts, server, age=4000)
            server.held_reply = asyncio.Event()
            asking = asyncio.ensure_future(accounts.tokens.get(Books, "alice"))
            await server.arrived.wait()
            await asyncio.to_thread(database.stop)
            server.held_reply.set()
            token = await asking
            assert token.access_token == server.issued[-1]
            assert "token_not_saved" in [line["event"] for line in log_lines]
            assert list((tmp_path / "journal").iterdir())
            await asyncio.to_thread(database.start)
            again = await accounts.tokens.get(Books, "alice")
            assert again.access_token == token.access_token
            found = await accounts.installs.get("alice", "books")
            assert found is not None
            assert accounts.installs.token(found) == token
            assert not list((tmp_path / "journal").iterdir())
            assert len(server.calls) == 1


async def test_what_an_endpoint_says_again_and_again_may_mean_that_the_login_is_dead(
    here: Accounts, server: OAuthServer
) -> None:
    async def refuse() -> web.Response:
        return web.json_response({"error": "computer says no"}, status=400)

    await install_books(here, server)
    await log_in(here, server, age=4000)
    server.misbehaviour = refuse
    for number in range(1, 6):
        await after_failures(here, number)
        with pytest.raises(TokenEndpointAway, match="computer says no") as raised:
            await ask(here)
        assert ("the same 5 times in a row" in str(raised.value)) == (number == 5)
    assert "Cure: orchesty-worker installs authorize books alice" in str(raised.value)


async def test_who_read_the_install_before_the_pause_keeps_it(
    here: Accounts, server: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has found the endpoint away between our look at the install and our lease."""

    async def refuse() -> web.Response:
        return web.Response(status=503)

    await install_books(here, server)
    await log_in(here, server, age=4000)
    (before,) = await here.installs.list()
    server.misbehaviour = refuse
    with pytest.raises(TokenEndpointAway):
        await ask(here)
    late = before
    reads = iter([late])
    read = here._store.get

    async def reads_late(*place: str) -> Any:
        return next(reads, None) or await read(*place)

    monkeypatch.setattr(here._store, "get", reads_late)
    with pytest.raises(TokenEndpointAway, match="times in a row"):
        await here.tokens.get(Books, "alice")
    assert len(server.calls) == 1
