"""Limits in a Redis that loses its data, or comes back with older data; and one that is slow to connect."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

import pytest

from deploy.redis import PrivateRedis
from worker.errors import LimitsAway
from worker.limits.limit import parse_limits
from worker.limits.redis import RedisReservations
from worker.limits.reservations import Turn, TurnRequest, Wait

MEMBERS = count()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisReservations]:
    store = RedisReservations(url, guard_seconds=0.01)
    yield store
    await store.close()


async def ask(store: RedisReservations, key: str) -> Turn | Wait:
    """Ask until Redis answers."""
    limits = parse_limits(key)
    request = TurnRequest(limits, limits[0].key, f"member {next(MEMBERS)}")
    async with asyncio.timeout(20):
        while True:
            with suppress(LimitsAway):
                return await store.ask(request)
            await asyncio.sleep(0.05)


async def turn_of(store: RedisReservations, request: TurnRequest) -> Turn:
    """Ask until the call has a turn."""
    while True:
        answer = await store.ask(request)
        if isinstance(answer, Turn):
            return answer
        await asyncio.sleep(max(answer.seconds - 0.5, 0.02))


async def snapshot(store: RedisReservations) -> None:
    await store._redis.save()


async def come_back(redis: PrivateRedis) -> None:
    """Come back with the last snapshot, or empty."""
    await asyncio.to_thread(redis.kill)
    await asyncio.to_thread(redis.start)


async def test_no_call_goes_when_redis_comes_back_with_an_older_snapshot(own_redis: PrivateRedis) -> None:
    key = "c|shop;30;5"
    async with opened(own_redis.url) as store, opened(own_redis.url) as another:
        for each in (store, another):
            await ask(each, "z|shop;1;9")
        await snapshot(store)
        assert all([isinstance(await ask(store, key), Turn) for _ in range(5)])
        lost = time.monotonic()
        await come_back(own_redis)
        answers = [await ask(each, key) for each in (store, another)]
        passed = time.monotonic() - lost
    assert all(isinstance(answer, Wait) and answer.seconds + passed > 30 for answer in answers)


async def test_a_snapshot_that_has_lost_nothing_costs_nothing(own_redis: PrivateRedis) -> None:
    async with opened(own_redis.url) as store:
        await ask(store, "c|shop;30;2")
        await snapshot(store)
        await come_back(own_redis)
        assert isinstance(await ask(store, "c|shop;30;2"), Turn)


async def test_a_loss_counts_from_when_it_was_first_noticed(own_redis: PrivateRedis) -> None:
    key = "c|shop;2;1"
    async with opened(own_redis.url) as store, opened(own_redis.url) as late:
        for each in (store, late):
            await ask(each, "z|shop;1;9")
        await come_back(own_redis)
        first = await ask(store, key)
        assert isinstance(first, Wait)
        await asyncio.sleep(first.seconds)
        assert isinstance(await ask(late, "other|shop;2;1"), Turn), "what it knows was lost before"


async def test_a_reset_opens_a_key_after_a_loss_and_no_other(own_redis: PrivateRedis) -> None:
    keys = [f"{user}|shop;86400;5" for user in ("a", "b")]
    async with opened(own_redis.url) as store:
        for key in keys:
            await ask(store, key)
        await come_back(own_redis)
        assert all([isinstance(await ask(store, key), Wait) for key in keys])
        (state,) = await store.states("a|shop")
        assert state.next_seconds > 86_300
        assert await store.reset("a|shop") == 1
        assert isinstance(await ask(store, keys[0]), Turn)
        assert isinstance(await ask(store, keys[1]), Wait)


@asynccontextmanager
async def slow_to_connect(redis: PrivateRedis, seconds: float) -> AsyncIterator[str]:
    """Return the URL of a way to Redis whose connections take this long."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        there, back = await asyncio.open_connection("127.0.0.1", redis.port)
        await asyncio.gather(forward(reader, back), forward(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


@pytest.mark.parametrize("slow_is_first", [True, False])
async def test_a_slow_connection_does_not_bring_calls_closer(own_redis: PrivateRedis, *, slow_is_first: bool) -> None:
    key = "a|shop;1;1"
    limits = parse_limits(key)
    async with slow_to_connect(own_redis, 0.4) as url, opened(own_redis.url) as fast, opened(url) as slow:
        await ask(fast, "w|shop;1;1")
        called: list[float] = []
        for store in (slow, fast) if slow_is_first else (fast, slow):
            request = TurnRequest(limits, "a|shop", f"member {next(MEMBERS)}")
            turn = await turn_of(store, request)
            await asyncio.sleep(max(turn.at - time.monotonic(), 0))
            called.append(time.monotonic())
            await store.seen(request, called[-1])
    assert called[1] - called[0] >= 1
