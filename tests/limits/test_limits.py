"""The limit gate: what passes, what waits here, and what goes back to the broker."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support.accounts import install, opened
from support.clock import Clock
from support.visits import node, visit

import applications
from applications import Application, Form
from connectors import Repeat, Stop, Trash
from deploy.redis import PrivateRedis
from worker.accounts.opening import UserAccess
from worker.errors import HandBack
from worker.limits.call_observer import Observed
from worker.limits.gate import WAY_SECONDS, Go, Held, ReservingGate, parked_seconds
from worker.limits.limit import KeyedLimit, limits_of, parse_limits
from worker.limits.memory import MemoryReservations
from worker.limits.redis import RedisReservations
from worker.modes.platform import PlatformGate
from worker.patience import Patience
from worker.pipeline.stages import decides
from worker.pipeline.turns import Turns
from worker.protocol.message import Visit
from worker.protocol.topology import Role
from worker.protocol.transport import STEP_SECONDS

KEY = "alice|shop;10;2;|shop;1;40"


def limited(**headers: Any) -> Visit:
    at = node("next", role=Role.CONNECTOR, application="shop", headers={"sdk": "php"})
    return visit(at, **{"limiter_key": KEY} | headers)


def gate(clock: Clock) -> ReservingGate:
    return ReservingGate(MemoryReservations(clock, guard_seconds=0), clock=clock)


async def called(chosen: ReservingGate, key: str, clock: Clock) -> float:
    """Let a call go and end; return when it ended."""
    message = limited(limiter_key=key)
    go = await chosen.admit(message, clock.pause)
    assert isinstance(go, Go)
    await chosen.called(message, go, Observed())
    return clock()


async def stopped(seconds: float) -> None:
    raise HandBack


def test_a_key_is_read_as_groups_of_three() -> None:
    assert parse_limits(KEY) == (KeyedLimit("alice|shop", 10, 2), KeyedLimit("|shop", 1, 40))
    assert parse_limits(KEY + ";") == parse_limits(KEY)
    assert parse_limits("") == ()
    assert parse_limits("|shop;1;1;|shop;1;3;|shop;1;1") == (KeyedLimit("|shop", 1, 1),)


@pytest.mark.parametrize("user", ["a;b", "a|b", "50 %", "a%3Bb"])
def test_a_users_own_limit_has_the_same_key_with_and_without_a_header(user: str) -> None:
    at = node("next", role=Role.CONNECTOR, application="shop")
    in_header = limits_of(visit(at, user=user, limiter_key=Shop.limits(user, {})))
    assert in_header == limits_of(visit(at, user=user), Shop.limit, Shop.group_limit)
    assert [bool(limit.user) for limit in in_header] == [True, False]
    assert limits_of(visit(at, user="a;b"), Shop.limit) != limits_of(visit(at, user="a%3Bb"), Shop.limit)


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("alice|shop;10", "'10' is left over"),
        ("alice|shop;ten;1", "seconds of 'alice|shop'"),
        ("alice|shop;1;0", "amount"),
        ("a|shop;1;-4", "amount"),
        ("a|shop;1;10000000000", "amount"),
        ("shop;1;4", "'shop' must be user|application"),
    ],
)
async def test_a_malformed_key_is_trashed_with_the_part_named(key: str, part: str) -> None:
    turns = Turns(gate(Clock()), Patience())
    decided = await turns.take(limited(limiter_key=key), decides(Stop("called")))
    assert isinstance(decided.decision, Trash)
    assert part in decided.decision.reason


async def test_the_platforms_limiter_gets_what_has_not_passed_it() -> None:
    platform = PlatformGate()
    assert await platform.admit(limited(), asyncio.sleep) == Held("php:shop")
    assert isinstance(await platform.admit(limited(limit_message_from_limiter="1"), asyncio.sleep), Go)
    assert await platform.admit(limited(limiter_key="alice|other;1;1"), asyncio.sleep) == Go()
    assert await platform.admit(limited(limiter_key="alice|php:shop;1;1"), asyncio.sleep) == Held("php:shop")
    of_no_service = node("next", role=Role.CONNECTOR, application="shop")
    assert await platform.admit(visit(of_no_service, limiter_key=KEY), asyncio.sleep) == Held("shop")


async def test_custom_nodes_are_not_limited() -> None:
    at = node("next", role=Role.CUSTOM_NODE, application="shop")
    assert await PlatformGate().admit(visit(at, limiter_key=KEY), asyncio.sleep) == Go()


async def test_a_distant_turn_is_waited_for_in_the_broker_and_keeps_its_place() -> None:
    clock = Clock()
    chosen = gate(clock)
    decisions = [await chosen.admit(limited(limiter_key="alice|shop;10;1"), clock.pause) for _ in range(3)]
    assert isinstance(decisions[0], Go)
    for place, decision in enumerate(decisions[1:], 1):
        assert isinstance(decision, Held)
        assert decision.place == place
        assert decision.after_seconds >= 8 * place


async def test_a_near_turn_is_waited_for_here() -> None:
    clock, key = Clock(), "alice|shop;1;1"
    chosen = gate(clock)
    went = await called(chosen, key, clock)
    await clock.pause(0.6)
    assert isinstance(await chosen.admit(limited(limiter_key=key), clock.pause), Go)
    assert clock() - went >= 0.99


async def test_users_do_not_share_their_own_limits() -> None:
    clock = Clock()
    chosen = gate(clock)
    for user in ("alice", "bob"):
        assert isinstance(await chosen.admit(limited(limiter_key=f"{user}|shop;10;1"), clock.pause), Go)
    assert clock() == Clock()()


async def test_a_turn_that_is_not_used_is_given_back() -> None:
    clock = Clock()
    store = MemoryReservations(clock, guard_seconds=0)
    chosen, key = ReservingGate(store, clock=clock), "alice|shop;1;1"
    await called(chosen, key, clock)
    await clock.pause(0.6)
    with pytest.raises(HandBack):
        await chosen.admit(limited(limiter_key=key), stopped)
    (state,) = await store.states()
    assert state.used == 1


async def test_a_call_counts_from_when_its_request_was_sent() -> None:
    clock = Clock()
    store = MemoryReservations(clock, guard_seconds=0)
    chosen, key = ReservingGate(store, clock=clock), "alice|shop;10;1"
    message = limited(limiter_key=key)
    go = await chosen.admit(message, clock.pause)
    assert isinstance(go, Go)
    sent = clock()
    await clock.pause(0.3)
    await chosen.called(message, go, Observed(sent=[sent]))
    (state,) = await store.states()
    assert state.next_seconds == pytest.approx(WAY_SECONDS + 10 - 0.3)


async def test_the_turn_of_an_action_that_has_sent_nothing_is_given_back() -> None:
    store = MemoryReservations(time.monotonic, guard_seconds=0)
    chosen, message = ReservingGate(store), limited(limiter_key="alice|shop;10;5")
    for observed in (Observed(), Observed(sent=[time.monotonic()]), Observed()):
        go = await chosen.admit(message, asyncio.sleep)
        assert isinstance(go, Go)
        await chosen.called(message, go, observed)
    (state,) = await store.states()
    assert state.used == 2, "the first had perhaps a way of its own; the last one is known to call by way of ours"


class Account(Form):
    """Makes an install necessary."""

    token: SecretStr


class Shop(Application):
    """A service with limits of its own."""

    key = "shop"
    forms = (Account,)
    limit = applications.Limit(seconds=10, amount=3)
    group_limit = applications.Limit(seconds=10, amount=5)


async def test_the_limiter_form_of_a_user_counts_without_any_header(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        for user in ("alice", "bob"):
            await install(accounts, Shop, user, token="t")
        await accounts.save("alice", Shop, {"limiter_form": {"useLimit": True, "value": 1, "time": 10}})
        chosen = ReservingGate(
            MemoryReservations(time.monotonic, guard_seconds=0),
            applications={"n1": Shop},
            access=UserAccess(accounts),
        )

        async def passing(user: str) -> int:
            at = node("next", role=Role.CONNECTOR, application="shop")
            messages = [visit(at, user=user) for _ in range(5)]
            return sum([isinstance(await chosen.admit(message, asyncio.sleep), Go) for message in messages])

        assert [await passing(user) for user in ("alice", "bob", "nobody")] == [1, 3, 1]


async def test_without_the_database_of_installs_limited_messages_wait(tmp_path: Path) -> None:
    async with opened("postgresql://nobody@127.0.0.1:1/none", tmp_path) as accounts:
        chosen = ReservingGate(
            MemoryReservations(time.monotonic, guard_seconds=0),
            applications={"n1": Shop},
            access=UserAccess(accounts),
        )
        at = node("next", role=Role.CONNECTOR, application="shop")
        message = visit(at)
        decided = await Turns(chosen, Patience()).take(message, decides(Stop("called")))
        assert isinstance(decided.decision, Repeat)


async def test_nothing_passes_while_redis_is_away(own_redis: PrivateRedis) -> None:
    own_redis.stop()
    store, pauses = RedisReservations(own_redis.url, guard_seconds=0), list[float]()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            await asyncio.to_thread(own_redis.start)

    assert isinstance(await ReservingGate(store).admit(limited(), pause), Go)
    assert len(pauses) >= 2
    await store.close()


async def test_a_turn_that_was_slept_through_is_renewed_and_counts_once() -> None:
    clock = Clock()
    store = MemoryReservations(clock, guard_seconds=0)
    chosen, key = ReservingGate(store, clock=clock), "alice|shop;1;1"
    await called(chosen, key, clock)
    await clock.pause(0.6)
    late = [5.0]

    async def pause(seconds: float) -> None:
        await clock.pause(seconds + (late.pop() if late else 0))

    go = await chosen.admit(limited(limiter_key=key), pause)
    assert isinstance(go, Go)
    assert (late, go.at) == ([], pytest.approx(clock()))
    (state,) = await store.states()
    assert state.used == 1


@pytest.mark.parametrize(
    ("foreseen", "parked"), [(0.6, 0.125), (1.0, 0.5), (5.0, 4.5), (133.0, 128.0), (10**7, 81_920.0)]
)
def test_a_message_is_parked_for_a_little_less_than_foreseen_and_in_few_tiers(foreseen: float, parked: float) -> None:
    assert parked_seconds(foreseen) == parked
    assert int(parked / STEP_SECONDS).bit_count() <= 4
