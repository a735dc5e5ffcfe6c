"""The store of installs and webhooks, on both databases."""

import asyncio
import json
import os
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine
from support.accounts import KEY, database_of, deliveries_of, open_accounts, opened, webhooks_of
from support.databases import MakeDatabase
from support.entries import numbered
from support.waiting import eventually

from applications import Token
from applications.accounts import Accounts
from applications.crypt import Keyring, new_key
from applications.errors import InstallsAway
from worker.accounts.tables import CHAIN, installs
from worker.database.engine import SILENCE_MS
from worker.database.migrate import bring_up_to_date, probe
from worker.trash.opening import open_trash
from worker.webhooks.deliveries import deliveries_among
from worker.webhooks.webhook import DeliveryClaim


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    return make_database(request.param)


@pytest.fixture
async def accounts(url: str, tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(url, tmp_path) as found:
        yield found


async def test_a_delivery_is_claimed_by_one_process_until_it_is_taken_or_released(
    accounts: Accounts, url: str, tmp_path: Path
) -> None:
    ours = deliveries_of(accounts)
    async with opened(url, tmp_path) as others:
        theirs = deliveries_of(others)
        a, b, c = ("w1", "a"), ("w1", "b"), ("w2", "a")
        assert await ours.claim([b, a]) == {a: DeliveryClaim.OURS, b: DeliveryClaim.OURS}
        assert await theirs.claim([a, b, c]) == {
            a: DeliveryClaim.OTHERS,
            b: DeliveryClaim.OTHERS,
            c: DeliveryClaim.OURS,
        }
        await ours.take([a])
        await theirs.release([a, b])
        assert await theirs.claim([a, b]) == {a: DeliveryClaim.TAKEN, b: DeliveryClaim.OTHERS}
        await ours.release([b])
        assert await theirs.claim([b]) == {b: DeliveryClaim.OURS}
        assert await theirs.claim([b]) == {
            b: DeliveryClaim.OURS
        }  # as after a failure that the database did not hear of
        assert await ours.claim([a, b, c]) == {a: DeliveryClaim.TAKEN, b: DeliveryClaim.OTHERS, c: DeliveryClaim.OTHERS}


async def test_the_claim_of_a_process_that_died_ends(
    accounts: Accounts, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = ("w1", "a")
    async with opened(url, tmp_path) as others:
        ours, dead = deliveries_of(accounts), deliveries_of(others)
        await dead.claim([delivery])
        assert await ours.claim([delivery]) == {delivery: DeliveryClaim.OTHERS}
        monkeypatch.setattr("worker.webhooks.deliveries.CLAIM_MS", -1000)
        assert await ours.claim([delivery]) == {delivery: DeliveryClaim.OURS}
        await dead.release([delivery])  # it was only slow
        monkeypatch.undo()
        assert await dead.claim([delivery]) == {delivery: DeliveryClaim.OTHERS}


async def test_many_processes_claim_the_same_deliveries_at_once_and_each_has_one_winner(
    url: str, tmp_path: Path
) -> None:
    wanted = [("w1", str(number)) for number in range(50)]
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(opened(url, tmp_path)) for _ in range(4)]
        orders = [wanted, wanted[::-1], wanted[25:] + wanted[:25], wanted]
        claims = await asyncio.gather(
            *(deliveries_of(one).claim(order) for one, order in zip(processes, orders, strict=True))
        )
    assert all([claim[one] for claim in claims].count(DeliveryClaim.OURS) == 1 for one in wanted)


async def test_deliveries_are_known_until_they_are_old(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    store = deliveries_of(accounts)
    taken = [("w1", f"{number:04}") for number in range(1200)]
    for start in range(0, len(taken), 200):
        await store.take(taken[start : start + 200])
    assert not await store.purge()
    assert set((await store.claim(taken)).values()) == {DeliveryClaim.TAKEN}
    monkeypatch.setattr("worker.webhooks.deliveries.KEPT_MS", -1000)
    assert await store.purge()
    left = list((await store.claim(taken)).values()).count(DeliveryClaim.TAKEN)
    assert 400 <= left <= 700
    while await store.purge():
        pass
    assert set((await store.claim(taken)).values()) == {DeliveryClaim.OURS}


async def test_deliveries_are_looked_up_and_not_all_read(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        await deliveries_of(accounts).take([("w1", "a")])
    query = deliveries_among([("w1", "a"), ("w2", "b"), ("w2", "a")])
    engine = create_engine(f"sqlite:///{tmp_path}/installs.sqlite")
    with engine.connect() as connection:
        text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()
    engine.dispose()
    assert [str(step[3]).split()[0] for step in plan] == ["SEARCH"]


async def test_webhooks_and_deliveries_of_an_older_version_are_found(url: str, tmp_path: Path) -> None:
    bring_up_to_date(url, replace(CHAIN, head="0001"))
    keyring, tokens = Keyring.read(KEY), {"old": "1" * 50, "lost": "2" * 50}
    columns = 'id, "user", application, name, topology, node, sealed_token, remote_id, is_unsubscribe_failed, created'
    with closing(connected(url)) as connection:
        for name, ring in (("old", keyring), ("lost", Keyring.read(new_key("lost")))):
            sealed = ring.seal(json.dumps([tokens[name], "secret"]).encode(), "webhook", name, "alice", "git-hub")
            values = f"'{name}', 'alice', 'git-hub', 'issues', 't', 'n', '{sealed}', '42', false, 1"
            connection.execute(f"INSERT INTO webhooks ({columns}) VALUES ({values})")
        connection.execute("INSERT INTO webhook_deliveries VALUES ('old', 'd1', 1)")
        connection.commit()
    async with opened(url, tmp_path) as accounts:
        found = await webhooks_of(accounts).called(tokens.values())
        assert [(token, webhook.id) for token, webhook in found.items()] == [(tokens["old"], "old")]
        assert await deliveries_of(accounts).claim([("old", "d1")]) == {("old", "d1"): DeliveryClaim.TAKEN}


OLD_KEY = "old:b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w="


async def test_what_version_0_1_kept_is_taken_over(url: str, tmp_path: Path) -> None:
    """The dumps in `databases` are of databases that the code made before it migrated with Alembic alone."""
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    restore(url, (Path(__file__).parent.parent / "databases" / f"installs.{kind}.sql").read_text())
    async with opened(url, tmp_path, OLD_KEY) as accounts:
        alice, bob = await accounts.installs.get("alice", "git-hub"), await accounts.installs.get("bob", "books")
        assert alice is not None
        assert bob is not None
        assert accounts.installs.settings(alice) == {"authorization_form": {"token": "secret of alice"}}
        assert accounts.installs.token(bob) == Token("access", "refresh", expires=4e9, obtained=1.7e9)
        (webhook,) = await webhooks_of(accounts).list()
        token = webhooks_of(accounts).secrets(webhook).token
        assert await webhooks_of(accounts).called([token]) == {token: webhook}
        assert (webhook.remote_id, webhook.parameters) == ("42", '{"owner": "me"}')
        delivery = (webhook.id, "taken")
        assert await deliveries_of(accounts).claim([delivery]) == {delivery: DeliveryClaim.TAKEN}
        assert await accounts.installs.add("alice", "books", is_enabled=True)
    assert probe(url, CHAIN, installs) == ("0003", [])


def restore(url: str, dump: str) -> None:
    """Fill an empty database."""
    with closing(connected(url)) as connection:
        if isinstance(connection, sqlite3.Connection):
            connection.executescript(dump)
        else:
            connection.execute(dump.encode())
        connection.commit()


def connected(url: str) -> sqlite3.Connection | psycopg.Connection:
    """Connect without any code of ours."""
    if not url.startswith("sqlite:///"):
        return psycopg.connect(url)
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return sqlite3.connect(path)


async def test_a_worker_of_the_version_before_migrates_the_same_tables_at_the_same_time(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """It takes this lock, looks into this table for this version, and then leaves the tables alone."""
    url = make_database("postgresql")
    with psycopg.connect(url) as before:
        before.execute("SELECT pg_advisory_xact_lock(7239412881)")
        async with opened(url, tmp_path) as accounts:
            listing = asyncio.ensure_future(accounts.installs.list())
            await eventually(lambda: _waits_for_a_lock(url))
            assert not listing.done()
            before.rollback()
            assert not await listing
        assert before.execute("SELECT version_num FROM applications_version").fetchall() == [("0003",)]


def _waits_for_a_lock(url: str) -> bool:
    with psycopg.connect(url) as connection:
        waiting = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return waiting.fetchone() == (1,)


async def test_many_may_open_an_empty_database_at_once_beside_the_trash(url: str, tmp_path: Path) -> None:
    many = [open_accounts(url, tmp_path) for _ in range(5)]
    trash = open_trash(url)
    await asyncio.gather(*(one.installs.list() for one in many), trash.add(numbered(1)))
    assert await many[0].installs.add("alice", "git-hub", is_enabled=True)
    assert len(await many[4].installs.list()) == 1
    for one in (*many, trash):
        await one.close()


async def test_a_postgresql_that_dies_silently_is_noticed_in_time(make_database: MakeDatabase, tmp_path: Path) -> None:
    url = make_database("postgresql")
    async with opened(url, tmp_path) as accounts, database_of(accounts).transaction() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        with socket.socket(fileno=os.dup(driver.fileno())) as wire:
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SILENCE_MS


async def test_sqlite_waits_for_the_disk_with_installs_and_not_with_deliveries(tmp_path: Path) -> None:
    full, normal = 2, 1
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        database = database_of(accounts)
        async with database.transaction() as connection:
            assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == full
        found = await database.run(lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar())
        assert found == normal


async def test_many_who_come_first_make_one_attempt_and_each_hears_of_its_failure(tmp_path: Path) -> None:
    """Else ten calls of services would wait one after another for a host that does not answer."""
    has_come, may_go, connections = asyncio.Event(), asyncio.Event(), 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        has_come.set()
        await may_go.wait()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"postgresql://worker@127.0.0.1:{server.sockets[0].getsockname()[1]}/none"
        async with opened(url, tmp_path) as accounts:
            listings = [asyncio.ensure_future(accounts.installs.list()) for _ in range(10)]
            await has_come.wait()
            listings[0].cancel()
            may_go.set()
            found = await asyncio.gather(*listings, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(error, InstallsAway) for error in found[1:])
    assert connections == 1


async def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    async with opened("postgresql://worker:canary@127.0.0.1:1/none", tmp_path) as accounts:
        with pytest.raises(InstallsAway, match="the database of the installs refuses") as raised:
            await accounts.installs.list()
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("url", ["", "redis://x", "sqlite://", "nonsense", "mongodb://h/d"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be sqlite:///path or postgresql://"):
        open_accounts(url, Path("unused"))
