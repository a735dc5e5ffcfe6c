"""`comparator`, `invalidate` and `confirm`, over every store."""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, func, select, text
from support.comparing import Compared
from support.databases import Databases
from support.pages import ROOT

from connectors import Message, Page, Repeat, Stop, Trash, comparing
from connectors.clock import now_ms
from connectors.storage import Storage
from deploy.redis import PrivateRedis
from worker.storage import tables
from worker.storage.comparing import answers, collections, redis, runs
from worker.storage.comparing import purge as purging
from worker.storage.opening import open_storage
from worker.testing import InMemoryTopology


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "redis"])
def url(request: pytest.FixtureRequest, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where it is kept; tests share it, each has a master key of its own."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis").url)
    return databases.make(request.param, tmp_path_factory.mktemp("compared"))


@pytest.fixture
async def storage(url: str) -> AsyncIterator[Storage]:
    """The storage."""
    opened = open_storage(url)
    yield opened
    await opened.close()


@pytest.fixture
def compared(storage: Storage) -> Compared:
    """A master key of the test's own."""
    return Compared(storage)


def items(*ids: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": number, **more} for number in ids]


async def test_only_what_has_changed_is_told(compared: Compared) -> None:
    assert await compared.changes(items(1, 2)) == (items(1, 2), [], [])
    assert await compared.changes(items(1, 2)) == ([], [], [])
    assert await compared.changes([{"id": 1}, {"id": 2, "a": 1}, {"id": 3}]) == (items(3), [{"id": 2, "a": 1}], [])
    assert await compared.changes([{"a": 1, "id": "2"}, {"id": 1}]) == ([], [{"a": 1, "id": "2"}], [])


async def test_a_message_that_comes_again_is_told_the_same(compared: Compared) -> None:
    one = {"run": "r1", "process": "p1", "deleted": True, "isLast": True}
    await compared.changes(items(1, 2, 3))
    first = await compared.changes([{"id": 1}, {"id": 2, "a": 1}, {"id": 4}], **one)
    assert first == (items(4), [{"id": 2, "a": 1}], ["3"])
    assert await compared.changes([{"id": 1}, {"id": 2, "a": 1}, {"id": 4}], **one) == first
    assert await compared.changes([{"id": 1}, {"id": 2, "a": 1}, {"id": 4}]) == ([], [], [])


async def test_what_was_told_last_is_what_counts(compared: Compared) -> None:
    """An old message that comes again sends its items on again: the next run has to correct that."""
    await compared.changes(items(1, a=1), process="old")
    await compared.changes(items(1, a=2))
    assert await compared.changes(items(1, a=1), process="old") == (items(1, a=1), [], [])
    assert await compared.changes(items(1, a=2)) == ([], items(1, a=2), [])


async def test_deleted_ones_are_known_at_the_end_of_a_run(compared: Compared) -> None:
    await compared.changes(items(*range(10)))
    assert await compared.changes(items(0, 1), run="r", deleted=True) == ([], [], [])
    assert await compared.changes(items(2, 10), run="r", deleted=True, isLast=False) == (items(10), [], [])
    last = await compared.changes(items(3), run="r", deleted=True, isLast=True)
    assert last == ([], [], ["4", "5", "6", "7", "8", "9"])
    assert await compared.changes(items(4)) == (items(4), [], [])


async def test_with_a_total_the_order_of_messages_does_not_count(compared: Compared) -> None:
    await compared.changes(items(1, 2, 3, 4))
    options = {"run": "r", "deleted": True, "totalCount": 3}
    assert await compared.changes(items(3), isLast=True, **options) == ([], [], [])
    assert await compared.changes(items(3, 1), isLast=False, **options) == ([], [], [])
    assert await compared.changes(items(2), isLast=False, **options) == ([], [], ["4"])
    assert await compared.changes(items(2), isLast=False, process="late", **options) == ([], [], [])


async def test_what_another_run_has_brought_meanwhile_is_not_deleted(compared: Compared) -> None:
    await compared.changes(items(1, 2))
    await compared.changes(items(1), run="r", deleted=True)
    await compared.changes([{"id": 3}])
    assert await compared.changes([], run="r", deleted=True, isLast=True) == ([], [], ["2"])


async def test_an_empty_list_that_is_the_last_deletes_all(compared: Compared) -> None:
    await compared.changes(items(1, 2))
    assert await compared.changes([], deleted=True, isLast=True) == ([], [], ["1", "2"])
    assert await compared.changes([], deleted=True, isLast=True) == ([], [], [])


async def test_excluded_fields_do_not_count(compared: Compared) -> None:
    def item(value: int) -> list[Any]:
        return [{"id": 1, "at": value, "a": {"b": value, "c": 1}, "lines": [{"n": value}, {"n": 7}]}]

    excluded = ["at", "a.b", "lines.0.n", "not.there", "lines.9", "id.x"]
    assert await compared.changes(item(1), excludedFields=excluded) == (item(1), [], [])
    assert await compared.changes(item(2), excludedFields=excluded) == ([], [], [])
    assert await compared.changes(item(2)) == ([], item(2), [])


async def test_ids_may_lie_deeper(compared: Compared) -> None:
    nested = [{"product": {"id": 5.0}}, {"product": {"id": "ž\0"}}]
    assert await compared.changes(nested, idField="product.id") == (nested, [], [])
    last = await compared.changes(nested[:1], idField="product.id", deleted=True, isLast=True)
    assert last == ([], [], ["ž\0"])


async def test_of_several_items_with_one_id_the_last_counts(compared: Compared) -> None:
    assert await compared.changes([{"id": 1, "a": 1}, {"id": "1", "a": 2}]) == ([{"id": "1", "a": 2}], [], [])


async def test_nothing_changed_may_end_the_branch(compared: Compared) -> None:
    assert not isinstance(await compared.compare(items(1), stopOnEmptyArray=True), Stop)
    assert isinstance(await compared.compare(items(1), stopOnEmptyArray=True), Stop)


async def test_without_comparison_all_are_told_as_updated(compared: Compared) -> None:
    assert await compared.changes(items(1), skipComparison=True, deleted=True, isLast=True) == ([], items(1), [])
    assert await compared.changes(items(1)) == (items(1), [], [])


async def test_a_list_has_what_is_new_and_what_has_changed(compared: Compared) -> None:
    await compared.changes(items(1, 2))
    told = await compared.compare([{"id": 1, "a": 1}, {"id": 2}, {"id": 3}], passAsListOfExistingItems=True)
    assert told.message.data == [{"id": 3}, {"id": 1, "a": 1}]


async def test_a_collection_lasts_until_its_time_is_up(compared: Compared) -> None:
    await compared.changes(items(1), ttl=0.05)
    await asyncio.sleep(0.1)  # the time is what is tested
    assert await compared.changes(items(1), ttl=60) == (items(1), [], [])
    assert await compared.changes(items(1, 2)) == (items(2), [], [])


async def test_a_collection_whose_time_is_up_at_once_keeps_nothing(compared: Compared) -> None:
    """As when the worker was held up, or its clock is behind."""
    for _ in range(3):
        assert await compared.changes(items(1), ttl=0.0001) == (items(1), [], [])


async def test_invalidated_items_are_created_again(compared: Compared) -> None:
    await compared.changes(items(1, 2))
    told = await compared.invalidate(externalId=1)
    assert told.message.data == {}
    assert await compared.changes(items(1, 2)) == (items(1), [], [])
    await compared.invalidate()
    assert await compared.changes(items(1, 2)) == (items(1, 2), [], [])
    await Compared(compared.storage).invalidate()


async def test_a_run_goes_on_after_an_invalidation(compared: Compared) -> None:
    await compared.changes(items(1, 2, 3))
    await compared.changes(items(1), run="r", deleted=True)
    await compared.invalidate()
    assert await compared.changes(items(2), run="r", deleted=True, isLast=True) == (items(2), [], [])


async def test_only_what_is_confirmed_counts(compared: Compared) -> None:
    told = await compared.compare(items(1), requireConfirmation=True)
    first = told.message.headers["comparator-draft-id"]
    again = await compared.compare(items(1), requireConfirmation=True)
    second = again.message.headers["comparator-draft-id"]
    assert again.message.data["created"] == items(1)
    assert first != second
    passed = await compared.confirm(comparator_draft_id=second, comparator_item_op="created")
    assert passed.message.data == {"any": "thing"}
    assert not {name for name in passed.message.headers if name.startswith("comparator-")}
    quiet = await compared.compare(items(1), requireConfirmation=True)
    assert "comparator-draft-id" not in quiet.message.headers
    assert quiet.message.data == {"created": [], "updated": [], "deleted": []}


async def test_a_result_is_split_and_confirmed_item_by_item(compared: Compared) -> None:
    await compared.changes(items(2, 3))
    told = await compared.compare([{"id": 1}, {"id": 2, "a": 1}], requireConfirmation=True, deleted=True, isLast=True)
    draft = told.message.headers["comparator-draft-id"]
    page = await compared.split(told.message.data, comparator_draft_id=draft)
    assert isinstance(page, Page)
    seen = [(m.data, m.headers["comparator-item-id"], m.headers["comparator-item-op"]) for m in page.items]
    assert seen == [({"id": 1}, "1", "created"), ({"id": 2, "a": 1}, "2", "updated"), ("3", "3", "deleted")]
    for message in page.items[::2]:
        own = {name.replace("-", "_"): value for name, value in message.headers.items() if "comparator" in name}
        await compared.confirm(**own)
    again = await compared.changes([{"id": 1}, {"id": 2, "a": 1}], deleted=True, isLast=True)
    assert again == ([], [{"id": 2, "a": 1}], [])


async def test_a_result_without_a_draft_is_split_as_well(compared: Compared) -> None:
    page = await compared.split({"created": [{"id": 1}], "updated": [], "deleted": ["2"]}, comparator_draft_id="gone")
    assert isinstance(page, Page)
    assert [(m.data, m.headers["comparator-item-op"]) for m in page.items] == [({"id": 1}, "created"), ("2", "deleted")]
    assert not [m for m in page.items if "comparator-item-id" in m.headers]


async def test_a_list_to_confirm_is_split_with_its_ids(compared: Compared) -> None:
    told = await compared.compare(items(1, 2), requireConfirmation=True, passAsListOfExistingItems=True)
    draft = told.message.headers["comparator-draft-id"]
    page = await compared.split(told.message.data, comparator_draft_id=draft)
    assert isinstance(page, Page)
    assert [m.headers["comparator-item-id"] for m in page.items] == ["1", "2"]


async def test_a_late_confirmation_says_what_arrived_last(compared: Compared) -> None:
    told = [await compared.compare(items(1, a=n), requireConfirmation=True) for n in (1, 2)]
    old, new = (one.message.headers["comparator-draft-id"] for one in told)
    await compared.confirm(comparator_draft_id=new, comparator_item_id="1")
    assert await compared.changes(items(1, a=2)) == ([], [], [])
    await compared.confirm(comparator_draft_id=old, comparator_item_id="1")
    assert await compared.changes(items(1, a=2), requireConfirmation=True) == ([], items(1, a=2), [])


async def test_a_draft_is_gone_after_its_time_and_after_an_invalidation(compared: Compared) -> None:
    told = await compared.compare(items(1, 2), requireConfirmation=True)
    draft = told.message.headers["comparator-draft-id"]
    await compared.invalidate(externalId="1")
    await compared.confirm(comparator_draft_id=draft)
    assert await compared.changes(items(1, 2), requireConfirmation=True) == (items(1), [], [])
    await compared.invalidate()
    await compared.confirm(comparator_draft_id=draft)
    told = await compared.compare(items(1, 2), requireConfirmation=True, confirmationTtl=1)
    await asyncio.sleep(1.1)  # the time is what is tested
    await compared.confirm(comparator_draft_id=told.message.headers["comparator-draft-id"])
    assert await compared.changes(items(1, 2)) == (items(1, 2), [], [])


async def test_a_run_that_locks_lets_no_other_in_until_its_end(compared: Compared) -> None:
    await compared.changes(items(1), run="a", lock=True, isLast=False)
    busy = await compared.compare(items(2), run="b", lock=True)
    assert isinstance(busy, Repeat)
    assert (busy.after.total_seconds(), busy.max_hops) == (120, 5)
    assert compared.master in busy.reason
    await compared.changes(items(3), run="a", lock=True, isLast=True)
    assert await compared.changes(items(2), run="b", lock=True) == (items(2), [], [])
    assert await compared.changes(items(3), run="a", lock=True, isLast=False) == ([], [], [])
    assert await compared.changes(items(3), run="c", lock=True) == ([], [], [])


async def test_a_run_that_does_not_end_lets_go(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (collections, redis):
        monkeypatch.setattr(module, "HELD", timedelta(milliseconds=50))
    await compared.changes(items(1), run="a", lock=True, totalCount=2)
    await asyncio.sleep(0.1)  # the time is what is tested
    monkeypatch.undo()
    assert await compared.changes(items(2), run="b", lock=True, isLast=False) == (items(2), [], [])
    assert isinstance(await compared.compare(items(3), run="a", lock=True, totalCount=2), Repeat)


async def test_two_runs_at_once_tell_each_change_once(compared: Compared, url: str) -> None:
    other = open_storage(url)
    twin = Compared(other)
    twin.master = compared.master
    told = await asyncio.gather(*(one.changes(items(*range(50))) for one in (compared, twin) for _ in range(3)))
    await other.close()
    assert sorted(item["id"] for created, _, _ in told for item in created) == list(range(50))


async def test_many_deleted_ones_make_further_results(compared: Compared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "MOST_DELETED", 1000)
    await compared.changes(items(*range(2300)))
    options: dict[str, Any] = {"deleted": True, "isLast": True, "requireConfirmation": True, "run": "r", "process": "p"}
    page = await compared.compare(items(-1), **options)
    assert isinstance(page, Page)
    told = [message.data for message in page.items]
    assert [len(one["created"]) for one in told] == [1] + [0] * (len(told) - 1)
    assert sorted(int(own) for one in told for own in one["deleted"]) == list(range(2300))
    again = await compared.compare(items(-1), **options)
    assert isinstance(again, Page)
    assert [message.body for message in again.items] == [message.body for message in page.items]
    drafts = [message.headers["comparator-draft-id"] for message in page.items]
    await compared.confirm(comparator_draft_id=drafts[-1])
    monkeypatch.undo()
    left = await compared.changes([], deleted=True, isLast=True)
    assert left[2] == sorted(own for one in told[:-1] for own in one["deleted"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([{"name": "x"}], "items[0] has no text or number in 'id'"),
        ([{"id": 1}, {"id": True}], "items[1] has no text or number"),
        ([{"id": ""}], "items[0] has no"),
        ([{"id": "x" * 1025}], "longer than 1024 bytes"),
    ],
)
async def test_items_without_an_id_go_to_the_trash(compared: Compared, data: list[Any], said: str) -> None:
    trashed = await compared.compare(data)
    assert isinstance(trashed, Trash)
    assert said in trashed.reason
    assert await compared.changes(items(1)) == (items(1), [], [])


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"masterKey": ""}, "masterKey"),
        ({"idField": None}, "idField"),
        ({"excludedField": ["a"]}, "excludedField"),
        ({"totalCount": -1}, "totalCount"),
        ({"passAsListOfExistingItems": True, "deleted": True}, "not both"),
    ],
)
async def test_a_wrong_configuration_is_told(storage: Storage, configuration: dict[str, Any], said: str) -> None:
    trashed = await Compared(storage).compare(items(1), **configuration)
    assert isinstance(trashed, Trash)
    assert said in trashed.reason


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_is_not_needed_any_more_is_deleted(
    kind: str, databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = databases.make(kind, tmp_path)
    storage = open_storage(url)
    compared, other = Compared(storage), Compared(storage)
    monkeypatch.setattr(purging, "TOGETHER", 2)
    monkeypatch.setattr(runs, "REMEMBERED", timedelta(seconds=-1))
    monkeypatch.setattr(answers, "REMEMBERED", timedelta(seconds=-1))
    await compared.changes(items(*range(5)), deleted=True)
    await compared.invalidate()
    await compared.changes(items(*range(3)), requireConfirmation=True, confirmationTtl=1)
    await asyncio.sleep(1.1)  # the time is what is tested
    for _ in range(8):
        await other.changes([])
    database = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with database.connect() as connection:
        left = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables.metadata.sorted_tables
            if table.name.startswith(("storage_compared", "storage_draft"))
        }
    database.dispose()
    await storage.close()
    assert left.pop("storage_compared") == 2
    assert left.pop("storage_compared_answers") <= 1
    assert set(left.values()) == {0}, left


async def test_while_the_storage_is_away_the_message_waits(own_redis: PrivateRedis) -> None:
    storage = open_storage(own_redis.url)
    compared = Compared(storage)
    own_redis.stop()
    for outcome in (await compared.compare(items(1)), await compared.confirm(comparator_draft_id="x")):
        assert isinstance(outcome, Repeat)
        assert (outcome.after.total_seconds(), outcome.max_hops) == (60, 20)
    await storage.close()


async def test_a_message_without_a_draft_passes(compared: Compared) -> None:
    passed = await compared.confirm(comparator_item_id="1")
    assert "comparator-item-id" not in passed.message.headers
    assert isinstance(passed.message, Message)


async def test_the_topology_of_the_page_keeps_another_database_in_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERP_URL", f"sqlite:///{tmp_path}/erp.sqlite")
    monkeypatch.setenv("WORKER_NODE_VARIABLES", "ERP_URL")
    blocks = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "nodes.md").read_text(), re.DOTALL)
    (shown,) = [json.loads(block) for block in blocks if "comparator" in block]
    erp = sqlite3.connect(tmp_path / "erp.sqlite")
    erp.execute("CREATE TABLE products (sku TEXT PRIMARY KEY, price NUMERIC CHECK (price < 100))")

    async def run(topology: InMemoryTopology, *products: tuple[str, int]) -> tuple[list[Any], int]:
        """Return what the other database has, and how many items were sent to it."""
        before = sum(len(topology.calls(name)) for name in ("save", "remove"))
        listed = [{"sku": sku, "price": price, "seen": before} for sku, price in products]
        await topology.start("request", {"products": listed})
        await topology.run()
        sent = sum(len(topology.calls(name)) for name in ("save", "remove")) - before
        return erp.execute("SELECT sku, price FROM products ORDER BY sku").fetchall(), sent

    async with InMemoryTopology(shown) as topology:
        assert await run(topology, ("a", 1), ("b", 2)) == ([("a", 1), ("b", 2)], 2)
        assert await run(topology, ("a", 1), ("b", 2)) == ([("a", 1), ("b", 2)], 0)
        assert await run(topology, ("a", 1), ("b", 3), ("c", 500)) == ([("a", 1), ("b", 3)], 2)
        assert await run(topology, ("b", 3), ("c", 500)) == ([("b", 3)], 2)
        assert await run(topology, ("b", 3), ("c", 5)) == ([("b", 3), ("c", 5)], 1)
    erp.close()


async def test_the_last_message_of_a_run_that_is_forgotten_deletes_nothing(compared: Compared) -> None:
    """Approved in the trash after a long time: what the run has had before is not known any more."""
    await compared.changes(items(1, 2, 3))
    week = comparing.REMEMBERED // timedelta(milliseconds=1)
    end: dict[str, Any] = {"deleted": True, "isLast": True}
    for started in (now_ms() - week - 1000, str(now_ms() - week - 1000)):
        assert await compared.changes(items(1), started=started, **end) == ([], [], [])
    for started in (now_ms() - week + 60_000, "soon", None):
        assert await compared.changes(items(1), started=started, **end) == ([], [], ["2", "3"])
        await compared.changes(items(2, 3))


def rows_read(connection: Connection, *tables: str) -> int:
    """Return how many rows this transaction has read of tables."""
    query = "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname = ANY(:tables)"
    return int(connection.execute(text(query), {"tables": list(tables)}).scalar_one())


async def test_what_a_slice_reads_does_not_grow_with_the_collection(databases: Databases, tmp_path: Path) -> None:
    """PostgreSQL, which has no statistics of tables that have just grown."""
    url = databases.make("postgresql", tmp_path)
    storage = open_storage(url)
    compared = Compared(storage)
    await compared.changes(items(*range(20_000)), run="r", deleted=True)
    await storage.close()
    database = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with database.begin() as connection:
        collection = collections.open_collection(connection, comparing.comparison_key(compared.master), now_ms())
        before = rows_read(connection, "storage_compared_items", "storage_compared_seen")
        for first in range(0, 12_000, 1000):
            ids = {str(number).encode(): b"" for number in range(first, first + 1000)}
            assert collections.changes(connection, collection, ids) == "u" * 1000
            runs.note_seen(connection, collection, comparing.comparison_key(compared.master, "r"), ids, now_ms())
        assert rows_read(connection, "storage_compared_items", "storage_compared_seen") - before <= 25_000
    database.dispose()


async def test_a_collection_that_another_has_made_meanwhile_is_not_dropped(
    databases: Databases, tmp_path: Path
) -> None:
    """PostgreSQL, where two that look for a new collection at once both see that there is none."""
    url = databases.make("postgresql", tmp_path)
    storage = open_storage(url)
    await Compared(storage).changes([])
    await storage.close()
    one, other = (create_engine(url.replace("postgresql:", "postgresql+psycopg:")) for _ in range(2))
    made: list[int] = []

    @event.listens_for(one, "before_cursor_execute")
    def make_meanwhile(*facts: Any) -> None:
        if not made and str(facts[2]).startswith("UPDATE storage_compared "):
            with other.begin() as connection:
                made.append(collections.open_collection(connection, "m", now_ms()).number)

    with one.begin() as connection:
        found = collections.open_collection(connection, "m", now_ms())
    assert made == [found.number]
    for engine in (one, other):
        engine.dispose()
