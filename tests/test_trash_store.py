"""The store of the trash, as any backend has to behave."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from worker.trash import STORE_ERRORS, Entry, EntryType, State, TrashStore

ENTRY = Entry(
    id="0f1e2d3c-0000-4000-8000-000000000001",
    type=EntryType.TRASH,
    node_id="n1",
    node_name="fetch",
    topology_id="t1",
    topology_name="orders",
    correlation_id="run",
    user=None,
    reason="no stock",
    return_exchange="node.n1.hx",
    return_routing_key="1",
    headers={"result-message": "no stock", "n": 1},
    body='{"order": 17}',
    raw=None,
    created=1_795_489_382_982,
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/folder/trash.sqlite"


@pytest.fixture
async def store(url: str) -> AsyncIterator[TrashStore]:
    opened = TrashStore(url)
    yield opened
    await opened.close()


async def test_an_entry_comes_back_as_it_was_kept(store: TrashStore) -> None:
    await store.add(ENTRY)
    assert await store.waiting() == [ENTRY]


async def test_an_entry_is_kept_once_however_often_it_is_delivered(store: TrashStore) -> None:
    await store.add(ENTRY)
    await store.add(ENTRY)
    assert len(await store.waiting()) == 1


async def test_entries_are_listed_oldest_first(store: TrashStore) -> None:
    ids = [f"{number}" for number in range(5, 0, -1)]
    for own in ids:
        await store.add(replace(ENTRY, id=own))
    assert [entry.id for entry in await store.waiting()] == ids


async def test_raw_bytes_survive_and_are_shown_as_text(store: TrashStore) -> None:
    await store.add(replace(ENTRY, body=None, raw=b"\xffhello\x00"))
    (entry,) = await store.waiting()
    assert entry.raw == b"\xffhello\x00"
    assert entry.document()["message"]["body"] == "\\xffhello\x00"


async def test_only_one_of_two_deciders_wins(store: TrashStore, url: str) -> None:
    await store.add(ENTRY)
    other = TrashStore(url)
    decisions = await asyncio.gather(
        *(one.decide(ENTRY, state) for one in (store, other) for state in (State.APPROVED, State.REJECTED))
    )
    await other.close()
    assert sorted(decisions) == [False, False, False, True]
    assert await store.waiting() == []


async def test_a_decision_can_be_taken_back(store: TrashStore) -> None:
    await store.add(ENTRY)
    await store.decide(ENTRY, State.APPROVED)
    await store.reopen(ENTRY)
    assert await store.waiting() == [ENTRY]


async def test_an_id_may_be_shortened_while_it_is_unique(store: TrashStore) -> None:
    await store.add(ENTRY)
    assert await store.get("0f1e") == ENTRY
    await store.add(replace(ENTRY, id="0f1effff"))
    assert await store.get("0f1e") is None
    assert await store.get("9") is None


async def test_several_processes_write_at_the_same_time(url: str) -> None:
    stores = [TrashStore(url) for _ in range(4)]
    await asyncio.gather(
        *(one.add(replace(ENTRY, id=f"{index}-{number}")) for index, one in enumerate(stores) for number in range(25))
    )
    assert len(await stores[0].waiting()) == 100
    for one in stores:
        await one.close()


async def test_a_store_that_is_away_raises_what_the_worker_waits_for(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    store = TrashStore(f"sqlite:///{blocked}/trash.sqlite")
    with pytest.raises(STORE_ERRORS):
        await store.add(ENTRY)
    blocked.unlink()
    await store.add(ENTRY)
    assert len(await store.waiting()) == 1
    await store.close()
