"""The store of installs and webhooks, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from support.accounts import KEY, install, opened
from support.databases import MakeDatabase
from support.entries import numbered

from applications.accounts import Accounts
from applications.catalogue.github import GitHub
from applications.crypt import Keyring
from applications.errors import InstallsAway
from applications.webhooks import deliveries_among
from worker.trash import open_trash


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    return make_database(request.param)


@pytest.fixture
async def accounts(url: str, tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(url, tmp_path) as found:
        yield found


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
    await accounts.save("alice", GitHub, {"limiter_form": {"useLimit": True, "time": 5, "value": None}})
    (found,) = await accounts.installs.list()
    assert accounts.installs.settings(found) == {
        "authorization_form": {"token": "t\x00ž'\""},
        "limiter_form": {"useLimit": True, "time": 5, "value": None},
    }


async def test_only_one_gets_the_lease(accounts: Accounts) -> None:
    await install(accounts, GitHub)
    found = await accounts.installs.get("alice", "git-hub")
    assert found is not None
    leases = await asyncio.gather(*(accounts.installs.lease(found) for _ in range(10)))
    assert len([lease for lease in leases if lease is not None]) == 1


async def test_deliveries_are_known_until_they_are_old(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    webhooks = accounts.webhooks
    await webhooks.remember([("w1", "a"), ("w1", "b")])
    await webhooks.remember([("w1", "a"), ("w2", "c")])
    assert await webhooks.known([("w1", "a"), ("w2", "c"), ("w2", "a")]) == {("w1", "a"), ("w2", "c")}
    await webhooks.purge()
    assert await webhooks.known([("w1", "a")]) == {("w1", "a")}
    monkeypatch.setattr("applications.webhooks.KEPT_MS", -1000)
    await webhooks.purge()
    assert await webhooks.known([("w1", "a")]) == set()


async def test_deliveries_are_looked_up_and_not_all_read(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        await accounts.webhooks.remember([("w1", "a")])
    query = deliveries_among([("w1", "a"), ("w2", "b"), ("w2", "a")])
    engine = create_engine(f"sqlite:///{tmp_path}/installs.sqlite")
    with engine.connect() as connection:
        text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()
    engine.dispose()
    assert [str(step[3]).split()[0] for step in plan] == ["SEARCH"]


async def test_a_webhook_keeps_its_token_and_secret(accounts: Accounts) -> None:
    made = await accounts.webhooks.add("alice", "git-hub", "issues", "t1", "n1")
    await accounts.webhooks.subscribed(made, "42")
    (found,) = await accounts.webhooks.list(topology="t1", node="n1")
    assert (found.token, found.secret, found.remote_id) == (made.token, made.secret, "42")
    assert len(found.token) == 50
    assert not await accounts.webhooks.list(topology="t1", node="n2")
    await accounts.webhooks.remove(found)
    assert not await accounts.webhooks.list()


async def test_many_may_open_an_empty_database_at_once_beside_the_trash(url: str, tmp_path: Path) -> None:
    many = [Accounts(url, Keyring.read(KEY), tmp_path) for _ in range(5)]
    trash = open_trash(url)
    await asyncio.gather(*(one.installs.list() for one in many), trash.add(numbered(1)))
    assert await many[0].installs.add("alice", "git-hub", is_enabled=True)
    assert len(await many[4].installs.list()) == 1
    for one in (*many, trash):
        await one.close()


async def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    async with opened("postgresql://worker:canary@127.0.0.1:1/none", tmp_path) as accounts:
        with pytest.raises(InstallsAway, match="the database of the installs refuses") as raised:
            await accounts.installs.list()
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("url", ["", "redis://x", "sqlite://", "nonsense", "mongodb://h/d"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be sqlite:///path or postgresql://"):
        Accounts(url, Keyring.read(KEY), Path("unused"))
