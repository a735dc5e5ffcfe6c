"""What a 429 does to the amount of a limit, and how the amount comes back."""

import time
from collections.abc import AsyncIterator

import pytest
from support.driven import DrivenTime, driven_script

from deploy.redis import PrivateRedis
from worker import load_settings
from worker.limits.limit import parse_limits
from worker.limits.reservations import Reservations, TurnRequest
from worker.modes.standalone import reservations_of

LIMITS = parse_limits("alice|shop;1;64")


@pytest.fixture
async def driven(redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DrivenTime]:
    monkeypatch.setattr("worker.limits.redis.script", driven_script)
    made = DrivenTime(f"{redis.url.rpartition('/')[0]}/3")
    await made.redis.flushdb()
    await made.passes(0)
    yield made
    await made.redis.aclose()


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, driven: DrivenTime) -> AsyncIterator[Reservations]:
    made = driven.in_memory() if request.param == "memory" else driven.in_redis()
    yield made
    await made.close()


async def amount(store: Reservations) -> int:
    (state,) = await store.states("alice|shop")
    return state.amount_now


async def refused(store: Reservations) -> int:
    """Let the service refuse a call; return the amount that is used from now on."""
    await store.learn(LIMITS, seconds=0, slow_down=True)
    return await amount(store)


async def test_a_refusal_halves_the_amount_at_most_every_ten_seconds_and_it_comes_back(
    store: Reservations, driven: DrivenTime
) -> None:
    await store.ask(TurnRequest(LIMITS, "alice|shop", "first"))
    assert await amount(store) == 64
    found = []
    for seconds in (0, 0, 9.9, 0.2):
        await driven.passes(seconds)
        found.append(await refused(store))
    assert found == [32, 32, 33, 16], (
        "it grows by a tenth of its own a minute, and the ones within 10 s are one refusal"
    )
    recovering = []
    for number in range(6):
        await driven.passes(75)
        await store.ask(TurnRequest(LIMITS, "alice|shop", f"call {number}"))
        recovering.append(await amount(store))
    assert recovering == [24, 32, 40, 48, 56, 64]


async def test_no_amount_is_halved_away(store: Reservations, driven: DrivenTime) -> None:
    await store.ask(TurnRequest(LIMITS, "alice|shop", "first"))
    for _ in range(20):
        await refused(store)
        await driven.passes(10.1)
    assert await refused(store) == 1


@pytest.mark.parametrize(("recovery", "expected"), [(None, 64), (600, 32)], ids=["by default", "where it is set"])
@pytest.mark.parametrize("is_shared", [False, True], ids=["memory", "redis"])
async def test_amounts_are_left_alone_unless_the_settings_name_a_recovery(
    redis_url: str, recovery: float | None, expected: int, *, is_shared: bool
) -> None:
    own = {} if recovery is None else {"limit_recovery": recovery}
    settings = load_settings(redis_url=redis_url if is_shared else None, **own)
    store = reservations_of(settings, lambda: 1)
    limits = parse_limits(f"{time.time_ns()}|shop;10;64")
    await store.ask(TurnRequest(limits, limits[0].key, "first"))
    await store.learn(limits, seconds=0, slow_down=True)
    (state,) = await store.states(limits[0].key)
    await store.close()
    assert state.amount_now == expected
