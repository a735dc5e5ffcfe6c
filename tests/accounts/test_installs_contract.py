"""What every store of installs promises: SQLite, PostgreSQL, and the documents of the platform."""

import asyncio
import time as time_module
from collections.abc import AsyncIterator
from pathlib import Path
from time import time

import pytest
from support.accounts import database_of, install, install_books, log_in, opened_as
from support.databases import MakeDatabase
from support.oauth_application import Books
from support.oauth_server import OAuthServer

from applications import Token
from applications.accounts import Accounts
from applications.catalogue.github import GitHub
from applications.errors import NeedsReconnect
from applications.install import Install
from applications.installs import ChangedMeanwhile
from worker.accounts.tables import installs


@pytest.fixture(params=["sqlite", "postgresql", "platform"])
async def accounts(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path
) -> AsyncIterator[Accounts]:
    async with opened_as(request.param, make_database, tmp_path) as found:
        yield found


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as found:
        yield found


async def only(accounts: Accounts) -> Install:
    (found,) = await accounts.installs.list()
    return found


async def test_an_install_is_added_once_switched_and_removed(accounts: Accounts) -> None:
    store = accounts.installs
    assert await store.add("a/b ž", "git-hub", is_enabled=False)
    assert not await store.add("a/b ž", "git-hub", is_enabled=True)
    assert await store.add("other", "git-hub", is_enabled=True)
    found = await store.get("a/b ž", "git-hub")
    assert found is not None
    assert (found.state, found.problem, found.version) == ("disabled", "", 0)
    assert await store.enable("a/b ž", "git-hub", is_enabled=True)
    assert [one.user for one in await store.list(application="git-hub")] == ["a/b ž", "other"]
    assert [one.user for one in await store.list(user="other")] == ["other"]
    assert await store.remove("a/b ž", "git-hub")
    assert not await store.remove("a/b ž", "git-hub")
    assert not await store.enable("a/b ž", "git-hub", is_enabled=True)


async def test_a_user_that_no_database_can_hold_is_unknown(accounts: Accounts) -> None:
    assert await accounts.installs.get("a\x00b", "git-hub") is None


async def test_settings_keep_their_types(accounts: Accounts) -> None:
    await install(accounts, GitHub, token="t\x00ž'\"")
    await accounts.save("alice", GitHub, {"limiter_form": {"useLimit": False, "time": 5, "value": None}})
    (found,) = await accounts.installs.list()
    assert accounts.installs.settings(found) == {
        "authorization_form": {"token": "t\x00ž'\""},
        "limiter_form": {"useLimit": False, "time": 5, "value": None},
    }


async def test_only_one_gets_the_lease(accounts: Accounts) -> None:
    await install(accounts, GitHub)
    found = await accounts.installs.get("alice", "git-hub")
    assert found is not None
    leases = await asyncio.gather(*(accounts.installs.lease(found) for _ in range(10)))
    assert len([lease for lease in leases if lease is not None]) == 1


async def test_settings_that_changed_meanwhile_are_not_overwritten(accounts: Accounts) -> None:
    await install(accounts, GitHub, token="first")
    before = await only(accounts)
    await accounts.save("alice", GitHub, {"authorization_form": {"token": "second"}})
    for save in (
        accounts.installs.save_settings(before, {}, keeps_token=True),
        accounts.installs.save_plain(before, {"since": 1}),
    ):
        with pytest.raises(ChangedMeanwhile):
            await save
    await accounts.installs.save_plain(await only(accounts), {"since": 2})
    found = await only(accounts)
    assert (found.plain, accounts.installs.settings(found)["authorization_form"]) == ({"since": 2}, {"token": "second"})
    assert found.sealed.fields == {"authorization_form": ["token"]}


async def test_a_token_is_renewed_once_for_all_and_settings_stay(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    before = accounts.installs.settings(await only(accounts))
    await log_in(accounts, server, age=4000)
    client = await accounts.client(Books, "alice")
    replies = await asyncio.gather(*(client.get("/orders") for _ in range(20)))
    assert {reply.status for reply in replies} == {200}
    assert [call["grant_type"] for call in server.calls] == ["refresh_token"]
    found = await only(accounts)
    token = accounts.installs.token(found)
    assert token is not None
    assert (token.expires or 0) > time() + 3000
    assert (found.sealed.has_token, found.expires) == (True, int((token.expires or 0) * 1000))
    assert accounts.installs.settings(found) == before


async def test_a_late_refresh_does_not_stand_over_a_later_one(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server)
    late = await accounts.installs.lease(await only(accounts))
    assert late is not None
    await accounts.installs.give_back(await only(accounts), late)
    later = await accounts.installs.lease(await only(accounts))
    assert later is not None
    sealed = [accounts.installs.seal_token("alice", "books", Token(name)) for name in ("late", "later")]
    assert await accounts.installs.save_token("alice", "books", later, sealed[1], None)
    assert not await accounts.installs.save_token("alice", "books", late, sealed[0], None)
    assert accounts.installs.token(await only(accounts)) == Token("later")


async def test_a_dead_login_is_told_until_settings_or_a_login_heal_it(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server)
    before = await only(accounts)
    await log_in(accounts, server)
    assert not await accounts.installs.mark_dead(before, "revoked")
    assert await accounts.installs.mark_dead(await only(accounts), "revoked")
    assert (await only(accounts)).state == "needs reconnect"
    with pytest.raises(NeedsReconnect, match="revoked"):
        await accounts.access(Books, "alice")
    await log_in(accounts, server)
    assert (await only(accounts)).state == "enabled"


async def test_a_service_that_is_away_is_noted_for_all(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server)
    found = await only(accounts)
    fence = await accounts.installs.lease(found)
    assert fence is not None
    await accounts.installs.mark_away(found, fence, 17)
    away = await only(accounts)
    assert (away.failures, 15_000 < away.retry_at - away.read_at <= 17_000) == (1, True)
    for read in (found, away):  # one that was read before the service was found away gets none either
        assert await accounts.installs.lease(read) is None
    async with database_of(accounts).transaction() as connection:
        await connection.execute(installs.update().values(retry_at=away.read_at))
    assert await accounts.installs.lease(found) is not None


async def test_a_login_that_has_died_gives_nobody_a_lease(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server)
    found = await only(accounts)
    assert await accounts.installs.mark_dead(found, "revoked")
    assert await accounts.installs.lease(found) is None


async def test_the_lease_goes_by_the_clock_of_the_store(
    accounts: Accounts, server: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server)
    found = await only(accounts)
    assert await accounts.installs.lease(found) is not None
    real = time_module.time
    for ahead in (90, -90):
        monkeypatch.setattr(time_module, "time", lambda ahead=ahead: real() + ahead)
        monkeypatch.setattr(time_module, "time_ns", lambda ahead=ahead: int((real() + ahead) * 1e9))
        assert await accounts.installs.lease(found) is None
        again = await only(accounts)
        assert abs(again.read_at / 1000 - real()) < 30


async def test_what_a_login_needs_is_taken_once(accounts: Accounts) -> None:
    await accounts._store.add_login("1", "sealed", 2**50)
    assert [await accounts._store.take_login("1") for _ in range(2)] == ["sealed", None]
