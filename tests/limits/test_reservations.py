"""The contract of both stores of limits, by a time that the tests drive; and once by the real one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import count
from time import monotonic

import pytest
from support.driven import DrivenTime, driven_script, driven_time
from support.waiting import timely

from deploy.redis import PrivateRedis
from worker.errors import LimitsAway
from worker.limits.limit import parse_limits
from worker.limits.memory import MemoryReservations
from worker.limits.redis import RedisReservations
from worker.limits.reservations import SLACK_SECONDS, Reservations, Turn, TurnRequest, Wait

RUNS = count()


@pytest.fixture
async def time(redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DrivenTime]:
    monkeypatch.setattr("worker.limits.redis.script", driven_script)
    async with driven_time(redis) as made:
        yield made


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, time: DrivenTime) -> AsyncIterator[Reservations]:
    made: Reservations = time.in_memory() if request.param == "memory" else time.in_redis()
    yield made
    await made.close()


@pytest.fixture(params=["memory", "redis"])
async def real_store(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Reservations]:
    """A store that goes by the real time."""
    made: Reservations
    if request.param == "memory":
        made = MemoryReservations(monotonic, guard_seconds=0.01)
    else:
        made = RedisReservations(redis_url, guard_seconds=0.01)
    yield made
    await made.close()


@pytest.fixture
def application() -> str:
    """An application that no other test uses."""
    return f"shop{next(RUNS)}"


MEMBERS = count()


def asking(key: str, user: str, place: int = 0) -> TurnRequest:
    limits = parse_limits(key)
    return TurnRequest(limits, f"{user}|{limits[0].application}", f"member {next(MEMBERS)}", place)


async def called(store: Reservations, key: str, user: str) -> float:
    """Call as soon as it is allowed; return when."""
    request = asking(key, user)
    while True:
        answer = await store.ask(request)
        if isinstance(answer, Turn):
            await asyncio.sleep(max(answer.at - monotonic(), 0))
            left = monotonic()
            await store.seen(request, left)
            return left
        request = asking(key, user, answer.place)
        await asyncio.sleep(max(answer.seconds - 0.2, 0.02))


async def calls(store: Reservations, time: DrivenTime, asks: Sequence[tuple[str, str, float]]) -> list[float]:
    """Let calls be made as soon as they are allowed, each by its key, user and the time from now; return when."""
    went: dict[int, float] = {}
    due = [(time.now() + after, number, asking(key, user), False) for number, (key, user, after) in enumerate(asks)]
    heapify(due)
    while due:
        at, number, request, is_turn = heappop(due)
        await time.passes(max(at - time.now(), 0))
        if is_turn:
            went[number] = time.now()
            await saw(store, request, time)
            continue
        answer = await store.ask(request)
        if isinstance(answer, Turn):
            heappush(due, (answer.at, number, request, True))
        else:
            key, user, _ = asks[number]
            again = time.now() + max(answer.seconds - 0.2, 0.02)
            heappush(due, (again, number, asking(key, user, answer.place), False))
    return [went[number] for number in range(len(asks))]


async def saw(store: Reservations, request: TurnRequest, time: DrivenTime) -> None:
    """Let the service see a call now."""
    await store.seen(request, time.now())
    await store.close()  # what was seen is sent on without being waited for


def most(times: list[float], seconds: float) -> int:
    return max(sum(start <= at < start + seconds for at in times) for start in times)


@pytest.mark.timing
async def test_no_window_has_more_calls_than_key_and_group_allow(real_store: Reservations, application: str) -> None:
    lines = {user: f"{user}|{application};1;4;|{application};1;6" for user in ("a", "b", "c")}
    users = [user for user in lines for _ in range(8)]
    times = await asyncio.gather(*(called(real_store, lines[user], user) for user in users))
    assert most(times, 1) <= 6
    for user in lines:
        assert most([at for at, own in zip(times, users, strict=True) if own == user], 1) <= 4
    assert max(times) - min(times) <= timely(4.2), "the rate is used"


async def test_several_windows_of_a_key_hold_together(store: Reservations, time: DrivenTime, application: str) -> None:
    key = f"a|{application};1;3;a|{application};3;5"
    times = await calls(store, time, [(key, "a", 0)] * 8)
    assert most(times, 1) <= 3
    assert most(times, 3) <= 5


async def test_a_line_keeps_its_order(store: Reservations, application: str) -> None:
    key = f"a|{application};1;1"
    answers = [await store.ask(asking(key, "a")) for _ in range(4)]
    assert isinstance(answers[0], Turn)
    waits = [answer for answer in answers if isinstance(answer, Wait)]
    assert [wait.place for wait in waits] == [1, 2, 3]
    assert [round(wait.seconds) for wait in waits] == [1, 2, 3]


async def test_a_place_that_was_never_given_is_none(store: Reservations, application: str) -> None:
    key = f"a|{application};9;1"
    await store.ask(asking(key, "a"))
    answer = await store.ask(asking(key, "a", place=4711))
    assert isinstance(answer, Wait)
    assert answer.place == 1


async def test_a_line_with_a_long_backlog_does_not_delay_another(
    store: Reservations, time: DrivenTime, application: str
) -> None:
    group, began = f"|{application};1;10", time.now()
    asks = [(group, "huge", 0.0)] * 60 + [(group, "small", 0.3)] * 5
    times = await calls(store, time, asks)
    assert max(times[60:]) - began <= 0.3 + 2
    assert max(times[:60]) - began > 5


async def test_a_long_line_does_not_wait_as_if_all_were_as_long(store: Reservations, application: str) -> None:
    group = f"|{application};1;10"
    for _ in range(10):
        assert isinstance(await store.ask(asking(group, "long")), Turn)
    for _ in range(100):
        await store.ask(asking(group, "long"))
    short = [await store.ask(asking(group, user)) for user in ("a", "b", "c", "d") for _ in range(2)]
    last = await store.ask(asking(group, "long", place=100))
    assert isinstance(last, Wait)
    assert 9 <= last.seconds <= 12, "108 calls, not 500"
    assert all(isinstance(answer, Turn) or answer.seconds <= 3 for answer in short)


async def test_who_has_left_the_line_is_not_waited_for(store: Reservations, application: str) -> None:
    key = f"a|{application};1;1"
    waits = [await store.ask(asking(key, "a")) for _ in range(6)][1:]
    for _ in range(4):
        await store.leave(f"a|{application}")
    last = await store.ask(asking(key, "a", place=5))
    assert isinstance(last, Wait)
    assert (round(last.seconds), last.waiting) == (1, 1)
    assert [round(wait.seconds) for wait in waits if isinstance(wait, Wait)] == [1, 2, 3, 4, 5]


async def test_a_turn_that_is_given_back_can_be_had(store: Reservations, application: str) -> None:
    key = f"a|{application};60;1"
    request = asking(key, "a")
    assert isinstance(await store.ask(request), Turn)
    assert isinstance(await store.ask(asking(key, "a")), Wait)
    await store.give_back(request)
    assert isinstance(await store.ask(asking(key, "a", place=1)), Turn)


async def test_a_missed_turn_is_renewed_without_counting_twice(store: Reservations, application: str) -> None:
    key = f"a|{application};60;2"
    request = asking(key, "a")
    await store.ask(request)
    await store.ask(TurnRequest(request.limits, request.line, request.member, is_renewal=True))
    assert isinstance(await store.ask(asking(key, "a")), Turn)
    assert isinstance(await store.ask(asking(key, "a")), Wait)


async def test_room_is_free_the_sooner_when_the_service_has_seen_the_call(
    store: Reservations, time: DrivenTime, application: str
) -> None:
    key = f"a|{application};10;1"
    request = asking(key, "a")
    await store.ask(request)
    before = await store.ask(asking(key, "a"))
    await saw(store, request, time)
    assert isinstance(before, Wait)
    after = await store.ask(asking(key, "a", before.place))
    assert isinstance(after, Wait)
    assert after.seconds >= 9.5
    assert before.seconds - after.seconds > SLACK_SECONDS / 2


async def test_lines_go_in_turn_and_one_that_is_behind_comes_sooner(store: Reservations, application: str) -> None:
    group = f"|{application};10;2"
    for user in ("a", "b"):
        await store.ask(asking(group, user))
    waits = {user: [await store.ask(asking(group, user)) for _ in range(4)] for user in ("a", "b")}
    foreseen = {user: [round(wait.seconds) for wait in own if isinstance(wait, Wait)] for user, own in waits.items()}
    assert foreseen["a"] == [10, 10, 20, 20], "nobody else waited then"
    assert foreseen["b"] == [10, 20, 30, 40], "each step of a line is one of each line"
    late = await store.ask(asking(group, "late"))
    assert isinstance(late, Wait)
    assert round(late.seconds) == 10


async def test_behind_a_pause_messages_do_not_come_back_together(store: Reservations, application: str) -> None:
    key = f"a|{application};10;1"
    await store.learn(parse_limits(key), seconds=30, slow_down=False)
    waits = [await store.ask(asking(key, "a")) for _ in range(3)]
    assert [round(wait.seconds) for wait in waits if isinstance(wait, Wait)] == [30, 40, 50]


async def test_what_the_service_says_moves_the_turns_of_all(store: Reservations, application: str) -> None:
    limits = parse_limits(f"a|{application};60;8")
    await store.learn(limits, seconds=30, slow_down=True)
    answer = await store.ask(asking(str(limits[0]), "a"))
    assert isinstance(answer, Wait)
    assert 29 < answer.seconds <= 30
    (state,) = [state for state in await store.states() if state.limit == limits[0]]
    assert state.amount_now == 4
    assert 29 < state.next_seconds <= 30


async def test_a_key_is_shown_and_reset(store: Reservations, application: str) -> None:
    key = f"a|{application}"
    for _ in range(3):
        await store.ask(asking(f"{key};60;1", "a"))
    (state,) = [state for state in await store.states() if state.limit.key == key]
    assert (state.used, state.waiting, state.amount_now) == (1, 2, 1)
    assert 59 < state.next_seconds <= 61
    assert await store.reset(key) == 1
    assert isinstance(await store.ask(asking(f"{key};60;1", "a")), Turn)


async def test_limits_of_others_are_not_touched(store: Reservations, application: str) -> None:
    asks = [asking(f"{user}|{application};60;1", user) for user in ("a", "b", "c", "a")]
    answers = Counter([type(await store.ask(request)) for request in asks])
    assert answers == {Turn: 3, Wait: 1}


async def test_turns_that_redis_has_forgotten_count_although_they_were_still_to_come(
    own_redis: PrivateRedis, application: str
) -> None:
    key, store = f"|{application};2;1", RedisReservations(own_redis.url, guard_seconds=0.01)

    async def turn() -> Turn:
        while True:
            with suppress(LimitsAway):
                answer = await store.ask(asking(key, "a"))
                if isinstance(answer, Turn):
                    return answer
            await asyncio.sleep(0.05)

    await turn()
    ahead = await turn()
    await asyncio.to_thread(own_redis.restart)
    assert (await turn()).at - ahead.at >= 2
    await store.close()
