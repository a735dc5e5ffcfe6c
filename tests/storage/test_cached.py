"""Answers that are remembered for a while, in every place where they can be kept."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from support.databases import MakeDatabase

from connectors import caching
from connectors.caching import AskedElsewhere
from connectors.clock import now_ms
from connectors.storage import Storage, _key
from deploy.redis import PrivateRedis
from worker.storage.opening import open_storage

HOUR = timedelta(hours=1)


class Rate(BaseModel):
    """An answer."""

    eur: float


class Service:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.began, self.go = asyncio.Event(), asyncio.Event()
        self.go.set()

    async def old(self) -> str:
        return "what an earlier release has kept"

    async def rate(self) -> Rate:
        self.asked += 1
        self.began.set()
        await self.go.wait()
        return Rate(eur=self.asked)


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    """Where it is kept."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return make_database(request.param)


@pytest.fixture
async def workers(url: str) -> AsyncIterator[list[Storage]]:
    """The same storage, as two workers see it."""
    opened = [open_storage(url), open_storage(url)]
    yield opened
    for storage in opened:
        await storage.close()


@pytest.fixture
def key() -> str:
    return uuid4().hex


async def test_an_answer_is_remembered_for_all_workers(workers: list[Storage], key: str) -> None:
    one, other = workers
    service = Service()
    assert await one.cached(key, HOUR, service.rate, model=Rate) == Rate(eur=1)
    assert await other.cached(key, HOUR, service.rate, model=Rate) == Rate(eur=1)
    assert await other.cached(key, HOUR, service.rate) == {"eur": 1.0}
    assert await other.cached(f"{key} of bob", HOUR, service.rate, model=Rate) == Rate(eur=2)


async def test_an_answer_is_asked_for_again_when_its_time_is_over(workers: list[Storage], key: str) -> None:
    one, other = workers
    service, lifetimes = Service(), {1: timedelta(milliseconds=1), 2: timedelta(), 3: HOUR}

    async def ask(storage: Storage) -> Any:
        return await storage.cached(key, lambda rate: lifetimes[rate.eur], service.rate, model=Rate)

    await ask(one)
    await asyncio.sleep(0.002)
    assert [(await ask(storage)).eur for storage in (other, one, other, one)] == [2, 3, 3, 3]


@pytest.mark.parametrize("nothing", [None, [], ""])
async def test_nothing_is_an_answer_too(workers: list[Storage], key: str, nothing: Any) -> None:
    async def find() -> Any:
        return nothing

    async def fail() -> Any:
        raise AssertionError("it is remembered")

    assert await workers[0].cached(key, HOUR, find, locks=True) == nothing
    assert await workers[1].cached(key, HOUR, fail, locks=True) == nothing


async def test_under_a_lock_one_worker_asks(workers: list[Storage], key: str) -> None:
    service = Service()
    service.go.clear()
    asking = [asyncio.create_task(one.cached(key, HOUR, service.rate, locks=True)) for one in workers * 3]
    await service.began.wait()
    service.go.set()
    assert await asyncio.gather(*asking) == [{"eur": 1.0}] * 6
    assert service.asked == 1


async def test_whoever_fails_lets_the_next_one_ask(workers: list[Storage], key: str) -> None:
    one, other = workers

    async def fail() -> Any:
        raise KeyError("rate")

    with pytest.raises(KeyError):
        await one.cached(key, HOUR, fail, locks=True)
    assert await other.cached(key, HOUR, Service().rate, locks=True) == {"eur": 1.0}


async def test_a_lock_lasts_while_its_owner_works(
    workers: list[Storage], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = workers
    monkeypatch.setattr(caching, "LOCKED", timedelta(seconds=0.5))
    monkeypatch.setattr(caching, "RENEWED_SECONDS", 0.1)
    monkeypatch.setattr(caching, "PATIENCE_SECONDS", 1.5)
    slow, quick = Service(), Service()
    slow.go.clear()
    asking = asyncio.create_task(one.cached(key, HOUR, slow.rate, locks=True))
    await slow.began.wait()
    with pytest.raises(AskedElsewhere, match="another worker asks"):
        await other.cached(key, HOUR, quick.rate, locks=True)
    slow.go.set()
    assert await asking == {"eur": 1.0}


async def test_the_lock_of_a_worker_that_died_lapses(workers: list[Storage], key: str) -> None:
    one, other = workers
    now = now_ms()
    assert await one._cache._store.lock(_key("cached", key), "dead", now + 200, now)
    assert await other.cached(key, HOUR, Service().rate, locks=True) == {"eur": 1.0}
    assert now_ms() >= now + 200


async def test_an_answer_of_an_older_model_is_asked_for_again(workers: list[Storage], key: str) -> None:
    one = workers[0]
    service = Service()
    for locks in (False, True):
        await one.cached(f"{key}{locks}", HOUR, service.old, model=str)
        for storage in workers:
            asked = service.asked
            found = await storage.cached(f"{key}{locks}", HOUR, service.rate, model=Rate, locks=locks)
            assert isinstance(found, Rate)
            assert service.asked == asked + (storage is one)


async def test_an_answer_counts_though_the_lock_cannot_be_given_back(own_redis: PrivateRedis) -> None:
    storage = open_storage(own_redis.url)

    async def find() -> int:
        own_redis.stop()
        return 7

    assert await storage.cached("k", timedelta(), find, locks=True) == 7
    await storage.close()
