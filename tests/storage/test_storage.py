"""The data storage: one suite for every place where it can be kept."""

import asyncio
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from support.databases import MakeDatabase

from connectors import Message
from connectors import storage as storages
from connectors.clock import now_ms
from connectors.errors import StorageAway
from connectors.storage import Chunk, Joined, Kept, Part, Scope, ScopeSearch, Standing, Storage, Terms
from deploy.redis import PrivateRedis
from worker.checks.finding import FindingState
from worker.checks.stores import check_storage
from worker.storage.opening import open_storage
from worker.urls import check_storage_url

HOUR = 3_600_000
MakeStorage = Callable[[], Storage]


class Item(BaseModel):
    """An item."""

    number: int


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    """Where it is kept."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return make_database(request.param)


@pytest.fixture
async def storage(url: str) -> AsyncIterator[Storage]:
    """The storage."""
    opened = open_storage(url)
    yield opened
    await opened.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[Storage]:
    """The same storage, as another worker sees it."""
    opened = open_storage(url)
    yield opened
    await opened.close()


@pytest.fixture
def run(request: pytest.FixtureRequest) -> str:
    """A run of the test's own: tests share the Redis."""
    return f"{request.node.name}-{id(request)}"


async def numbers(count: int) -> AsyncIterator[dict[str, int]]:
    for number in range(count):
        yield {"number": number}


async def items(storage: Storage, run: str, name: str = "orders", **scope: str) -> list[Any]:
    return [item async for item in storage.collection(name, process=run, **scope).read()]


def message(run: str, **headers: str) -> Message[Any]:
    return Message({"correlation-id": run, "user": "alice", "node-id": run, **headers}, "{}")


async def test_items_come_back_in_their_order(storage: Storage, other: Storage, run: str) -> None:
    collection = storage.of_run(message(run), "orders")
    assert await collection.write(numbers(2500)) == 2500
    assert await collection.write([None, "ž", [1.5, True], ""]) == 4
    found = await items(other, run)
    assert found == [{"number": number} for number in range(2500)] + [None, "ž", [1.5, True], ""]


async def test_items_are_read_as_models(storage: Storage, run: str) -> None:
    collection = storage.of_run(message(run), "orders")
    await collection.write([Item(number=1), {"number": "two"}])
    reading = collection.read(Item)
    assert await anext(reading) == Item(number=1)
    with pytest.raises(ValidationError, match="number"):
        await anext(reading)


async def test_a_part_that_is_written_again_takes_its_own_place(storage: Storage, run: str) -> None:
    collection = storage.of_run(message(run), "orders")
    await collection.write(numbers(1500), part="page-1")
    await collection.write(["b"], part="page-2")
    await collection.write(["a"], part="page-1")
    assert sorted(await items(storage, run)) == ["a", "b"]
    await collection.write([], part="page-1")
    assert await items(storage, run) == ["b"]


async def test_process_application_user_and_name_part_collections(storage: Storage, run: str) -> None:
    scopes: list[dict[str, str]] = [{}, {"application": "shop"}, {"user": "alice"}, {"user": "shop"}]
    for scope in scopes:
        await storage.collection("orders", process=run, **scope).write([scope])
    await storage.collection("others", process=run).write(["other"])
    for scope in scopes:
        assert await items(storage, run, **scope) == [scope]
    await storage.collection("orders", process=run).clear()
    assert await items(storage, run) == []
    assert await items(storage, run, "others") == ["other"]


async def test_items_expire(storage: Storage, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = storage.of_run(message(run), "orders")
    await collection.write(["stays"])
    monkeypatch.setattr(storages, "KEPT", timedelta(seconds=-1))
    await collection.write(["gone"])
    assert await items(storage, run) == ["stays"]


async def test_collections_are_found_by_name_and_scope_with_their_items(
    storage: Storage, other: Storage, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = now_ms()
    for name, user, count in (("orders", "alice", 2500), ("orders", "bob", 3), ("refunds", "bob", 1)):
        await storage.collection(name, process=run, user=user).write(numbers(count), part="page")
        await storage.collection(name, process=run, user=user).write(numbers(count), part="page")
    await storage.collection("empty", process=run).write([], part="page")
    await storage.collection("cleared", process=run).write([1])
    await storage.collection("cleared", process=run).clear()
    monkeypatch.setattr(storages, "KEPT", timedelta(seconds=-1))
    await storage.collection("gone", process=run).write([1])
    await storage.collection("refunds", process=run, user="bob").write([1, 2], part="other")
    monkeypatch.undo()
    await storage.collection("refunds", process=run, user="bob").write([1, 2], part="third")
    found = await other.collections(ScopeSearch(process=run))
    assert {kept.scope: kept.items for kept in found} == {
        Scope("orders", run, "", "alice"): 2500,
        Scope("orders", run, "", "bob"): 3,
        Scope("refunds", run, "", "bob"): 3,
    }
    assert found[0].scope.name == "refunds"
    assert all(before + 24 * HOUR <= kept.expires <= now_ms() + 24 * HOUR for kept in found)
    assert await other.collections(ScopeSearch("orders", run, user="bob")) == [found[1]]
    assert len(await other.collections(ScopeSearch(process=run), limit=2)) == 2
    assert await other.collections(ScopeSearch(process=run, application="shop")) == []


async def test_many_parts_are_read_in_their_order(storage: Storage, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than Redis is asked for at once, twice over."""
    monkeypatch.setattr("worker.storage.redis.TOGETHER", 50)
    collection = storage.of_run(message(run), "parts")
    for number in range(110):
        await collection.write([number], part=str(number))
    assert await items(storage, run, "parts") == list(range(110))
    (found,) = await storage.collections(ScopeSearch("parts", run))
    assert found == Kept(Scope("parts", run), 110, found.expires)
    await collection.clear()
    assert await items(storage, run, "parts") == []


async def test_what_is_streamed_takes_little_memory(storage: Storage, run: str) -> None:
    async def large() -> AsyncIterator[str]:
        for number in range(400):
            yield f"{number:06}" * 10_000  # 60 kB each, 24 MB in all

    collection = storage.of_run(message(run), "large")
    await collection.write(["warm"], part="first")
    await collection.clear()
    tracemalloc.start()
    try:
        await collection.write(large())
        count = 0
        async for item in collection.read():
            assert len(item) == 60_000
            count += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    await collection.clear()
    assert count == 400
    assert peak < 8_000_000


GROWTH = """
import asyncio, resource, sys
from worker.storage.opening import open_storage

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def stream():
    storage = open_storage(sys.argv[1])
    collection = storage.collection("large", process=sys.argv[2])
    await collection.write(["warm"])
    before = peak()
    await collection.write(f"{number:06}" * 10_000 for number in range(1500))
    assert len([None async for _ in collection.read()]) == 1501
    print(peak() - before)
    await collection.clear()
    await storage.close()

asyncio.run(stream())
"""


async def test_a_process_that_streams_90_mb_grows_little(url: str, run: str) -> None:
    """Seen from outside, where the memory of drivers and databases in the process counts as well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GROWTH, url, run, stdout=asyncio.subprocess.PIPE
    )
    text = (await process.communicate())[0].decode()
    assert int(text) < 20, text


async def test_items_are_several(storage: Storage, run: str) -> None:
    with pytest.raises(TypeError, match="put it into a list"):
        await storage.of_run(message(run), "orders").write("abc")


async def test_state_is_kept_for_each_user_node_and_name(storage: Storage, other: Storage, run: str) -> None:
    state = storage.state(message(run))
    assert await state.load() is None
    await state.save("2026-01-01")
    await state.saving("2026-02-01")()
    assert await other.state(message(run)).load() == "2026-02-01"
    assert await other.state(message(run, user="bob")).load() is None
    assert await other.state(message(run), "refunds").load() is None


def terms(count: int = 3, *, seconds: float = 3600, closes: bool = False) -> Terms:
    now = now_ms()
    return Terms(count, now + int(seconds * 1000), closes=closes, expires=now + 24 * HOUR, forgotten=now + HOUR)


async def join(storage: Storage, run: str, number: int, wanted: Terms) -> Joined:
    return await storage.join("node", run, Part(f"part-{number}", number, f'"{number}"'), wanted)


async def test_the_last_part_gets_all(storage: Storage, other: Storage, run: str) -> None:
    assert (await join(storage, run, 2, terms())).standing is Standing.FIRST
    assert (await join(other, run, 0, terms())).standing is Standing.WAITING
    assert (await join(storage, run, 2, terms())).standing is Standing.FIRST
    assert (await join(other, run, 0, terms())).count == 2
    last = await join(storage, run, 1, terms())
    assert last.standing is Standing.COMPLETE
    assert [part.body for part in last.parts] == ['"0"', '"1"', '"2"']
    assert await join(other, run, 1, terms()) == last
    assert (await join(other, run, 0, terms())).standing is Standing.KNOWN
    assert (await join(other, run, 7, terms())).standing is Standing.LATE


async def test_of_parts_that_come_at_once_one_is_the_last(storage: Storage, other: Storage, run: str) -> None:
    wanted = terms(20)
    joined = await asyncio.gather(
        *(join(worker, run, number, wanted) for number in range(20) for worker in (storage, other))
    )
    complete = [one for one in joined if one.standing is Standing.COMPLETE]
    assert {tuple(part.id for part in one.parts) for one in complete} == {tuple(f"part-{n}" for n in range(20))}
    assert 1 <= len(complete) <= 2  # the same part, that both workers have


async def test_when_the_time_is_up_the_first_one_says_so(storage: Storage, run: str) -> None:
    wanted = terms(seconds=-1)
    assert (await join(storage, run, 0, wanted)).standing is Standing.TIMED_OUT
    assert (await join(storage, run, 1, wanted)).standing is Standing.WAITING
    again = await join(storage, run, 0, wanted)
    assert (again.standing, again.count, list(again.parts)) == (Standing.TIMED_OUT, 2, [])
    assert (await join(storage, run, 2, wanted)).standing is Standing.COMPLETE


async def test_when_the_time_is_up_the_parts_go_on_if_that_is_wanted(storage: Storage, run: str) -> None:
    wanted = terms(seconds=0.2, closes=True)
    assert (await join(storage, run, 0, wanted)).standing is Standing.FIRST
    await asyncio.sleep(0.3)  # the time is what is tested
    closing = await join(storage, run, 1, wanted)
    assert (closing.standing, [part.id for part in closing.parts]) == (Standing.TIMED_OUT, ["part-0", "part-1"])
    assert await join(storage, run, 1, wanted) == closing
    assert (await join(storage, run, 0, wanted)).standing is Standing.KNOWN
    assert (await join(storage, run, 2, wanted)).standing is Standing.LATE


@pytest.mark.parametrize("wrong", ["mysql://host/db", "sqlite:///", "redis://", "nonsense", "mongodb://host/db"])
def test_a_wrong_address_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match="must be sqlite"):
        check_storage_url(wrong)


async def test_a_storage_that_is_away_lets_the_message_wait(own_redis: PrivateRedis) -> None:
    storage = open_storage(own_redis.url)
    state = storage.state(message("run"))
    await state.save("1")
    own_redis.stop()
    with pytest.raises(StorageAway, match="data storage: "):
        await state.load()
    await storage.close()
    away = open_storage("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(StorageAway):
        await away.collection("x").write([1])
    await away.close()


async def test_what_expired_is_deleted(make_database: MakeDatabase) -> None:
    url = make_database("sqlite")
    before = open_storage(url)
    store: Any = before._store
    await store.write(Scope("c", "old"), Chunk("old", 0, b"1", 1, now_ms() - 1))
    old = terms()
    await store.join("g", Part("p", 0, "1"), Terms(3, old.deadline, False, now_ms() - 1, old.forgotten), now_ms())
    await before.close()
    storage = open_storage(url)  # a process deletes with its first write, and then now and then
    store = storage._store
    await store.write(Scope("c"), Chunk("new", 0, b"2", 1, now_ms() + HOUR))
    with store._database.engine.connect() as connection:
        counts = [
            connection.exec_driver_sql(f"SELECT count(*) FROM storage_{name}").scalar()
            for name in ("chunks", "collections", "groups", "members")
        ]
    await storage.close()
    assert counts == [1, 1, 0, 0]


async def test_the_check_reaches_it_without_changing_anything(url: str) -> None:
    finding = await check_storage(url)
    assert (finding.check, finding.state) == ("storage", FindingState.OK)
    made = await asyncio.to_thread(Path(url.removeprefix("sqlite:///")).exists)
    assert not (url.startswith("sqlite") and made)


async def test_the_check_says_when_it_is_away() -> None:
    finding = await check_storage("redis://:hunter2@127.0.0.1:9/0")
    assert finding.state is FindingState.FAILED
    assert "hunter2" not in str(finding)
    assert "WORKER_STORAGE_URL" in str(finding)
