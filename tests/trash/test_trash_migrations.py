"""The tables: brought up to date from every version, once, by however many processes start together."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine.url import make_url
from support.databases import MakeDatabase
from support.entries import ENTRY, run_trash

import worker.trash
from worker.trash.entry import Entry, EntryState, entry_id, short_id
from worker.trash.opening import open_trash
from worker.trash.store import Search, TrashStore
from worker.trash.tables import HEAD, trash

FIRST = """
CREATE TABLE trash (
    number INTEGER NOT NULL, id VARCHAR(36) NOT NULL, type VARCHAR(10) NOT NULL, state VARCHAR(10) NOT NULL,
    node_id VARCHAR(100) NOT NULL, node_name TEXT NOT NULL, topology_id VARCHAR(100) NOT NULL,
    topology_name TEXT NOT NULL, correlation_id TEXT NOT NULL, user TEXT, reason TEXT, return_exchange TEXT NOT NULL,
    return_routing_key TEXT NOT NULL, headers TEXT NOT NULL, body TEXT, raw BLOB, created INTEGER NOT NULL,
    updated INTEGER NOT NULL, PRIMARY KEY (number), UNIQUE (id)
);
CREATE INDEX trash_by_state ON trash (state, number);
INSERT INTO trash VALUES
    (1, '8f7e2d3c-0000-5000-8000-000000000001', 'trash', 'waiting', 'n1', 'fetch', 't1', 'orders', 'run', NULL,
     'no stock', 'node.n1.hx', '1', '{"result-message": "no stock"}', '{"order": 17}', NULL,
     1795489382982, 1795489382982),
    (2, '9f7e2d3c-0000-5000-8000-000000000002', 'trash', 'rejected', 'n1', 'fetch', 't1', 'orders', '', NULL,
     'not a process message', 'node.n1.hx', '1', '{}', NULL, X'FF00', 1795489382982, 1795489382982);
"""
"""The table of the version before there were migrations, with two entries."""


def old_database(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        connection.executescript(FIRST)
    return f"sqlite:///{path}"


async def test_the_database_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    store = open_trash(old_database(tmp_path / "trash.sqlite"))
    (entry,) = await store.waiting()
    assert (entry.body, entry.reason, entry.more, entry.application) == ('{"order": 17}', "no stock", 0, "")
    assert await store.get("8f7e2d3c-0000-5000-8000-000000000001") == entry
    (decided,) = await store.load(await store.ids(Search(states=frozenset({EntryState.REJECTED}))))
    assert decided.raw == b"\xff\x00"
    await store.close()


async def test_what_was_kept_before_is_not_kept_again_by_a_redelivery(tmp_path: Path) -> None:
    url = old_database(tmp_path / "trash.sqlite")
    own = entry_id("n1", "process", "body")
    assert len(own) == 24
    with sqlite3.connect(tmp_path / "trash.sqlite") as connection:
        uuid = f"{own[:8]}-{own[8:12]}-{own[12:16]}-{own[16:20]}-{own[20:]}00000000"
        connection.execute("UPDATE trash SET id = ? WHERE number = 1", (uuid,))
    assert short_id(uuid) == own
    store = open_trash(url)
    await store.put(ENTRY)
    assert not await store.put(await only(store, own))
    await store.close()


async def only(store: TrashStore, own: str) -> Entry:
    entry = await store.get(own)
    assert entry is not None
    return entry


async def test_equal_entries_of_an_earlier_version_count_for_the_flood_limit(tmp_path: Path) -> None:
    store = open_trash(old_database(tmp_path / "trash.sqlite"), flood_limit=1)
    (entry,) = await store.waiting()
    assert await store.add(ENTRY) == entry.id
    await store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_processes_that_start_together_migrate_once(
    make_database: MakeDatabase, kind: str, tmp_path: Path
) -> None:
    url = old_database(tmp_path / "trash.sqlite") if kind == "sqlite" else make_database(kind)
    texts = await asyncio.gather(*(asyncio.to_thread(run_trash, url, "list", "--state", "all") for _ in range(5)))
    assert len(set(texts)) == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_migrations_lead_to_the_table_that_the_code_knows(make_database: MakeDatabase, kind: str) -> None:
    url = make_database(kind)
    store = open_trash(url)
    await store.waiting()
    await store.close()
    driver = "sqlite" if kind == "sqlite" else "postgresql+psycopg"
    engine = create_engine(make_url(url).set(drivername=driver))
    found = {column["name"]: column["nullable"] for column in inspect(engine).get_columns("trash")}
    engine.dispose()
    assert found == {column.name: bool(column.nullable) for column in trash.columns}


async def test_a_database_of_a_newer_version_is_used_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/trash.sqlite"
    store = open_trash(url)
    await store.put(ENTRY)
    await store.close()
    with sqlite3.connect(tmp_path / "trash.sqlite") as connection:
        connection.execute("UPDATE trash_version SET version_num = '9999'")
    store = open_trash(url)
    assert await store.waiting() == [ENTRY]
    await store.close()


def test_the_newest_migration_is_the_one_that_the_code_compares_with() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(worker.trash.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
