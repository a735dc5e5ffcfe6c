"""What every store of the trash promises: one suite over SQLite, PostgreSQL and MongoDB's protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from support.databases import KINDS, MakeDatabase
from support.entries import ENTRY, LONG_AGO, numbered

from worker.protocol.message import now_ms
from worker.trash import mongo, sql
from worker.trash.entry import DECIDED, EntryState, EntryType
from worker.trash.opening import open_trash
from worker.trash.store import CLAIM_MS, Claim, Search, TrashStore
from worker.trash.transfer import from_line, to_line

ALL = Search(states=frozenset(EntryState))


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    return make_database(request.param)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def store(url: str, stack: AsyncExitStack) -> TrashStore:
    return opened(url, stack)


def opened(url: str, stack: AsyncExitStack, flood_limit: int = 1000) -> TrashStore:
    made = open_trash(url, flood_limit)
    stack.push_async_callback(made.close)
    return made


async def test_an_entry_comes_back_as_it_was_kept(store: TrashStore) -> None:
    assert await store.add(ENTRY) == ENTRY.id
    assert await store.waiting() == [ENTRY]


async def test_an_entry_is_kept_once_however_often_it_is_delivered(store: TrashStore) -> None:
    for _ in range(3):
        await store.add(ENTRY)
    assert await store.ids(Search()) == [ENTRY.id]


async def test_a_redelivery_of_what_was_decided_adds_nothing(store: TrashStore) -> None:
    await store.add(ENTRY)
    claim = Claim.now()
    await store.claim([ENTRY.id], claim)
    await store.add(ENTRY)
    await store.decide([ENTRY.id], claim, EntryState.APPROVED)
    await store.add(ENTRY)
    assert await store.ids(Search()) == []
    assert [entry.state for entry in await store.load([ENTRY.id])] == [EntryState.APPROVED]


async def test_a_message_that_was_published_twice_is_kept_once(store: TrashStore) -> None:
    first, again = (replace(numbered(number), twin="a" * 32, reason=f"r{number}") for number in (1, 2))
    await asyncio.gather(store.add(first), store.add(numbered(3, twin="b" * 32)))
    assert await store.add(again) == first.id
    assert await store.add(first) == first.id
    waiting = {entry.id: entry.more for entry in await store.waiting()}
    assert waiting == {first.id: 1, numbered(3).id: 0}


async def test_a_message_that_fails_again_after_it_was_approved_is_kept_again(store: TrashStore) -> None:
    first, again = (numbered(number, twin="a" * 32) for number in (1, 2))
    await store.add(first)
    claim = Claim.now()
    await store.claim([first.id], claim)
    assert await store.add(again) == again.id
    await store.decide([first.id], claim, EntryState.APPROVED)
    assert [entry.id for entry in await store.waiting()] == [again.id]


async def test_entries_are_listed_oldest_first(store: TrashStore) -> None:
    kept = [numbered(number, id=f"{99 - number:024x}") for number in range(5)]
    for entry in kept:
        await store.add(entry)
    assert await store.waiting() == kept


@pytest.mark.parametrize(
    "changes",
    [
        {"body": None, "raw": b"\xffhello\x00"},
        {"body": "a\x00b \U0001f600", "reason": "a reason" * 2000, "headers": {"result-message": "a reason" * 2000}},
        {"headers": {"result-message": "no stock", "a.b": 1, "$c": 2, "": 3, "nul\x00": 4, "big": 2**70}},
        {"node_id": "n" * 300, "topology_id": "t" * 300, "headers": {"result-message": "no stock", "x": 2.0}},
        {"type": EntryType.USER_TASK, "reason": None, "headers": {}},
        {"body": "é" * 12_000_000},
        {"body": None, "raw": b"\xff" * 20_000_000},
        {"headers": {"result-message": "no stock", "large": "x" * 20_000_000}},
    ],
    ids=["bytes", "nul", "odd headers", "long ids", "user task", "large body", "large bytes", "large header"],
)
async def test_nothing_is_lost_whatever_a_message_holds(store: TrashStore, changes: dict[str, Any]) -> None:
    entry = replace(ENTRY, **changes)
    await store.add(entry)
    assert await store.waiting() == [entry]
    assert from_line(to_line(entry)) == entry
    claim = Claim.now()
    (claimed,) = await store.claim([entry.id], claim)
    assert (claimed.body, claimed.raw, claimed.headers) == (entry.body, entry.raw, entry.headers)
    await store.decide([entry.id], claim, EntryState.REJECTED)
    assert await store.purge([entry.id]) == 1
    assert await store.get(entry.id) is None


async def test_unreadable_bytes_are_shown_as_text(store: TrashStore) -> None:
    await store.add(replace(ENTRY, body=None, raw=b"\xffhello\x00"))
    (entry,) = await store.waiting()
    assert entry.document()["message"]["body"] == "\\xffhello\x00"


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(), [1, 2, 3, 4]),
        (Search(nodes=("n1",)), [1, 2]),
        (Search(nodes=("pack", "n1")), [1, 2, 3, 4]),
        (Search(topology="t2"), [3]),
        (Search(topology="invoices"), [3]),
        (Search(topology="nope"), []),
        (Search(process="run-2"), [2]),
        (Search(user="alice"), [3]),
        (Search(application="mail"), [4]),
        (Search(reason="TIME"), [2]),
        (Search(reason="100%"), [3]),
        (Search(reason="_"), []),
        (Search(reason=".*"), []),
        (Search(type=EntryType.USER_TASK), [4]),
        (Search(created_before=LONG_AGO + 2000), [1]),
        (Search(created_after=LONG_AGO + 2000), [3, 4]),
        (Search(created_after=LONG_AGO - 10**15), [1, 2, 3, 4]),
        (Search(created_before=LONG_AGO - 10**15), []),
        (Search(nodes=("fetch",), reason="time", created_after=LONG_AGO), [2]),
        (Search(states=frozenset({EntryState.REJECTED})), [5]),
        (Search(states=DECIDED), [5]),
        (ALL, [1, 2, 3, 4, 5]),
    ],
)
async def test_entries_are_found_by_what_they_are(store: TrashStore, search: Search, expected: list[int]) -> None:
    pack = {"node_id": "n2", "node_name": "pack"}
    for entry in (
        numbered(1),
        numbered(2, correlation_id="run-2", reason="Timeout", headers={"result-message": "Timeout"}),
        numbered(
            3,
            user="alice",
            reason="100% gone",
            headers={"result-message": "100% gone"},
            **pack,
            topology_id="t2",
            topology_name="invoices",
        ),
        numbered(4, type=EntryType.USER_TASK, reason=None, headers={}, application="mail", **pack),
        numbered(5, state=EntryState.REJECTED),
    ):
        assert await store.put(entry)
    assert [int(own, 16) for own in await store.ids(search)] == expected


async def test_the_clock_is_told(store: TrashStore) -> None:
    assert abs((await store.clock() - datetime.now(UTC)).total_seconds()) < 5


async def test_only_one_of_two_claims_wins(store: TrashStore, url: str, stack: AsyncExitStack) -> None:
    kept = [numbered(number) for number in range(60)]
    for entry in kept:
        await store.add(entry)
    ids = [entry.id for entry in kept]
    stores = [opened(url, stack) for _ in range(4)]
    claims = [Claim.now() for _ in stores]
    claimed = await asyncio.gather(
        *(one.claim(ids[::-1] if number % 2 else ids, claims[number]) for number, one in enumerate(stores))
    )
    assert sorted(entry.id for entries in claimed for entry in entries) == ids
    for one, claim, entries in zip(stores, claims, claimed, strict=True):
        assert await one.decide(ids, claim, EntryState.APPROVED) == len(entries)
    assert await store.waiting() == []


async def test_a_claimed_entry_is_shown_with_its_claimer_and_can_wait_again(store: TrashStore) -> None:
    await store.add(ENTRY)
    claim = Claim.now()
    await store.claim([ENTRY.id], claim)
    assert await store.waiting() == []
    (entry,) = await store.load(await store.ids(Search()))
    assert (entry.state, entry.changed_by) == (EntryState.CLAIMED, claim.by)
    await store.release([ENTRY.id], claim)
    (entry,) = await store.waiting()
    assert replace(entry, updated=ENTRY.updated) == ENTRY


async def test_a_claim_left_behind_is_taken_over_after_its_time_and_not_before(store: TrashStore) -> None:
    await store.add(ENTRY)
    dead = Claim.now()
    await store.claim([ENTRY.id], dead)
    soon = Claim("soon", "other", dead.at + CLAIM_MS)
    assert await store.claim([ENTRY.id], soon) == []
    later = Claim("later", "other", dead.at + CLAIM_MS + 1)
    assert [entry.changed_by for entry in await store.claim([ENTRY.id], later)] == ["other"]
    assert await store.decide([ENTRY.id], dead, EntryState.REJECTED) == 0
    await store.release([ENTRY.id], dead)
    assert await store.decide([ENTRY.id], later, EntryState.APPROVED) == 1


async def test_an_id_may_be_shortened_while_it_is_unique(store: TrashStore) -> None:
    await store.add(ENTRY)
    assert await store.get("0f1e") == await store.get("0F1E2D3C-0000-4000-8000-000100000000") == ENTRY
    await store.add(numbered(1, id="0f1e" + "f" * 20))
    assert await store.get("0f1e") is None
    assert await store.get("0f1e2") == await store.get("0F1E-2d3c") == ENTRY
    assert await store.get("9") is await store.get("") is await store.get("%") is await store.get("n" * 24) is None


async def test_an_edit_keeps_the_body_as_it_came(store: TrashStore) -> None:
    await store.add(ENTRY)
    for body in ("first", "second"):
        (entry,) = await store.waiting()
        assert await store.edit(entry, body, "alice")
    (edited,) = await store.waiting()
    assert (edited.body, edited.original_body, edited.edited_by) == ("second", ENTRY.body, "alice")
    assert edited.edited is not None
    assert from_line(to_line(edited)) == edited


async def test_an_edit_makes_a_large_body_small_and_back(store: TrashStore) -> None:
    large = "x" * 5_000_000
    await store.add(replace(ENTRY, body=large))
    for body in ("small", large + "y"):
        (entry,) = await store.waiting()
        assert await store.edit(entry, body, "alice")
        (edited,) = await store.waiting()
        assert (edited.body, edited.original_body) == (body, large)


async def test_an_edit_of_what_has_changed_meanwhile_is_refused(store: TrashStore) -> None:
    await store.add(ENTRY)
    (entry,) = await store.waiting()
    assert await store.edit(entry, "first", "alice")
    assert not await store.edit(entry, "second", "bob")
    (entry,) = await store.waiting()
    await store.claim([ENTRY.id], Claim.now())
    assert not await store.edit(entry, "third", "bob")
    assert [one.body for one in await store.load([ENTRY.id])] == ["first"]


async def test_of_two_edits_within_a_millisecond_the_second_is_refused(
    store: TrashStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add(ENTRY)
    (entry,) = await store.waiting()
    for module in (sql, mongo):
        monkeypatch.setattr(module, "now_ms", lambda: entry.updated)
    assert await store.edit(entry, "first", "alice")
    assert not await store.edit(entry, "second", "bob")


async def test_what_is_decided_is_kept_from_its_decision_on(store: TrashStore) -> None:
    await store.add(ENTRY)
    before = now_ms()
    claim = Claim("token", "alice", before - 1000)
    await store.claim([ENTRY.id], claim)
    await store.decide([ENTRY.id], claim, EntryState.REJECTED)
    (decided,) = await store.load([ENTRY.id])
    assert decided.updated >= before
    assert await store.ids(Search(states=DECIDED, updated_before=before)) == []


async def test_an_edit_mends_a_message_that_could_not_be_read(store: TrashStore) -> None:
    await store.add(replace(ENTRY, body=None, raw=b"{"))
    (entry,) = await store.waiting()
    assert await store.edit(entry, "whole", "alice", {"process-id": "p"})
    (mended,) = await store.waiting()
    assert (mended.body, mended.raw, mended.headers, mended.is_readable) == ("whole", b"{", {"process-id": "p"}, True)


async def test_a_flood_is_counted_on_the_oldest_of_its_kind(url: str, stack: AsyncExitStack) -> None:
    store = opened(url, stack, flood_limit=3)
    same: dict[str, Any] = {"reason": "down", "headers": {"result-message": "down"}}
    kept_as = [await store.add(numbered(number, **same)) for number in range(6)]
    assert [int(own, 16) for own in kept_as] == [0, 1, 2, 0, 0, 0]
    assert await store.add(numbered(1, **same)) == f"{1:024x}"
    await store.add(numbered(7, node_id="n2", **same))
    await store.add(numbered(8, correlation_id="other", **same))
    await store.add(numbered(9))
    for number in range(10, 15):
        await store.add(numbered(number, type=EntryType.USER_TASK, **same | {"reason": None, "headers": {}}))
    assert [entry.more for entry in await store.waiting()] == [3, *[0] * 10]
    claim = Claim.now()
    await store.claim([f"{1:024x}"], claim)
    await store.decide([f"{1:024x}"], claim, EntryState.APPROVED)
    assert await store.add(numbered(20, **same)) == f"{20:024x}"


async def test_a_flood_is_counted_on_what_came_first_whatever_its_id_is(url: str, stack: AsyncExitStack) -> None:
    store = opened(url, stack, flood_limit=3)
    same: dict[str, Any] = {"reason": "down", "headers": {"result-message": "down"}}
    kept_as = [await store.add(numbered(number, id=f"{99 - number:024x}", **same)) for number in range(5)]
    assert [int(own, 16) for own in kept_as] == [99, 98, 97, 99, 99]


async def test_user_tasks_are_no_part_of_a_flood(url: str, stack: AsyncExitStack) -> None:
    store = opened(url, stack, flood_limit=3)
    same: dict[str, Any] = {"reason": "down", "headers": {"result-message": "down"}}
    for number in range(5):
        await store.add(numbered(number, type=EntryType.USER_TASK, **same))
    assert await store.add(numbered(9, **same)) == f"{9:024x}"


async def test_workers_that_are_flooded_together_keep_no_more_than_the_limit(
    make_database: MakeDatabase, stack: AsyncExitStack
) -> None:
    url = make_database("postgresql")
    stores = [opened(url, stack, flood_limit=3) for _ in range(8)]
    await asyncio.gather(*(one.waiting() for one in stores))
    same: dict[str, Any] = {"reason": "down", "headers": {"result-message": "down"}}
    entries = [numbered(number, **same) for number in range(48)]
    await asyncio.gather(*(store.add(entry) for at, store in enumerate(stores) for entry in entries[at :: len(stores)]))
    assert [entry.more for entry in await stores[0].waiting()] == [45, 0, 0]


async def test_without_a_flood_limit_all_are_stored(url: str, stack: AsyncExitStack) -> None:
    store = opened(url, stack, flood_limit=0)
    for number in range(5):
        await store.add(numbered(number, reason="down"))
    assert len(await store.waiting()) == 5


async def test_an_import_keeps_entries_as_they_are_and_only_once(store: TrashStore) -> None:
    decided = replace(
        ENTRY, state=EntryState.REJECTED, changed_by="alice", more=7, original_body="{}", edited=5, edited_by="b"
    )
    line = to_line(decided)
    assert json.loads(line)["state"] == "rejected"
    assert await store.put(from_line(line))
    assert not await store.put(replace(decided, reason="other"))
    assert await store.load([ENTRY.id]) == [decided]


async def test_purging_leaves_claimed_entries_alone(store: TrashStore) -> None:
    for number in range(3):
        await store.add(numbered(number))
    await store.claim([f"{0:024x}"], Claim.now())
    assert await store.purge([f"{number:024x}" for number in range(4)]) == 2
    assert [int(own, 16) for own in await store.ids(ALL)] == [0]


async def test_several_processes_open_a_new_store_and_write_at_the_same_time(url: str, stack: AsyncExitStack) -> None:
    stores = [opened(url, stack, flood_limit=1000) for _ in range(4)]
    await asyncio.gather(
        *(one.add(numbered(index * 100 + number)) for index, one in enumerate(stores) for number in range(25))
    )
    assert len(await stores[0].waiting()) == 100
