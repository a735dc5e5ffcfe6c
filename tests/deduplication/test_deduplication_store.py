"""What every store of marks promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace

import pytest
from conftest import MakeDatabase
from sqlalchemy import func, select
from support.waiting import eventually

from deploy.redis import PrivateRedis
from worker.database.engine import sync_engine
from worker.deduplication import sql, tables
from worker.deduplication.marks import Mark, Marks, Taken
from worker.deduplication.opening import open_marks
from worker.errors import StoreError


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return make_database(request.param)


@pytest.fixture
async def marks(url: str) -> AsyncIterator[Marks]:
    opened = open_marks(url)
    yield opened
    await opened.close()


def mark(process: str, *, key: str = "order 17", node: str = "n1", seconds: float = 60, timestamp: int = 1) -> Mark:
    return Mark.of(node=node, key=key, process=process, timestamp=timestamp, seconds=seconds)


@pytest.fixture
def node(request: pytest.FixtureRequest) -> str:
    """A node of the test's own: the Redis is shared."""
    return request.node.name


async def test_another_message_with_the_key_is_a_duplicate_and_one_of_another_node_is_none(
    marks: Marks, node: str
) -> None:
    assert await marks.take(mark("a", node=node)) is Taken.OURS
    assert await marks.take(mark("b", node=node)) is Taken.DUPLICATE
    assert await marks.take(mark("b", node=node, key="order 18")) is Taken.OURS
    assert await marks.take(mark("b", node=f"{node} 2")) is Taken.OURS


async def test_the_same_message_delivered_again_is_no_duplicate_until_it_is_done(marks: Marks, node: str) -> None:
    first = mark("a", node=node)
    assert await marks.take(first) is Taken.OURS
    assert await marks.take(first) is Taken.OURS

    await marks.confirm(first)

    assert await marks.take(first) is Taken.DONE
    assert await marks.take(mark("a", node=node, timestamp=2)) is Taken.DUPLICATE, "published again"


async def test_a_key_that_was_given_up_is_free_and_only_its_owner_gives_it_up(marks: Marks, node: str) -> None:
    first, second = mark("a", node=node), mark("b", node=node)
    await marks.take(first)

    await marks.release(second)
    assert await marks.take(second) is Taken.DUPLICATE

    await marks.release(first)
    assert await marks.take(second) is Taken.OURS
    await marks.confirm(first)
    assert await marks.take(second) is Taken.OURS, "what is no longer its own, a message cannot confirm"


async def test_what_is_not_done_may_be_taken_over_and_what_is_done_may_not(marks: Marks, node: str) -> None:
    first, second = mark("a", node=node), mark("b", node=node)
    await marks.take(first)
    assert await marks.take(second, takes_over=True) is Taken.OURS
    assert await marks.take(first) is Taken.DUPLICATE
    await marks.confirm(second)
    assert await marks.take(first, takes_over=True) is Taken.DUPLICATE


@pytest.mark.timing
async def test_a_key_is_free_when_its_time_is_over(marks: Marks, node: str) -> None:
    first, second = mark("a", node=node, seconds=0.3), mark("b", node=node)
    await marks.take(first)
    await marks.confirm(first)
    assert await marks.take(second) is Taken.DUPLICATE

    async def is_free() -> bool:
        return await marks.take(second) is Taken.OURS

    await eventually(is_free, seconds=5, what="a free key")


async def test_the_time_runs_from_the_end_of_the_message(marks: Marks, node: str) -> None:
    first = mark("a", node=node, seconds=0.3)
    await marks.take(first)
    await marks.confirm(replace(first, seconds=60))
    await asyncio.sleep(0.4)  # longer than the time that began with `take`
    assert await marks.take(mark("b", node=node)) is Taken.DUPLICATE


async def test_node_and_key_are_not_mistaken_for_one_another(marks: Marks, node: str) -> None:
    assert await marks.take(mark("a", node=f"{node} 1", key="2x")) is Taken.OURS
    assert await marks.take(mark("b", node=f"{node} 12", key="x")) is Taken.OURS


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_marks_whose_time_is_over_are_deleted(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(sql, "PURGE_MS", -1)
    url = make_database(kind)
    opened = open_marks(url)
    for key, seconds in {"first": 0, "second": 0, "stays": 60, "newest": 60}.items():
        await opened.take(mark("a", key=key, seconds=seconds))
    await opened.close()
    with closing(sync_engine(url).connect()) as connection:
        assert connection.execute(select(func.count()).select_from(tables.marks)).scalar() == 2


async def test_two_workers_see_the_same_marks(url: str, marks: Marks, node: str) -> None:
    other = open_marks(url)
    try:
        await marks.take(mark("a", node=node))
        assert await other.take(mark("b", node=node)) is Taken.DUPLICATE
        assert await other.take(mark("a", node=node)) is Taken.OURS, "taken over from a worker that died"
    finally:
        await other.close()


async def test_a_store_that_is_away_says_so(own_redis: PrivateRedis) -> None:
    marks = open_marks(own_redis.url)
    await marks.take(mark("a"))
    own_redis.stop()
    with pytest.raises(StoreError, match="Redis"):
        await marks.take(replace(mark("a"), seconds=1))
    own_redis.start()
    assert await marks.take(mark("b")) is Taken.OURS, "its memory is gone: a duplicate passes"
    await marks.close()
