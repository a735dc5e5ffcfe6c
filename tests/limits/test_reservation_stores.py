"""Both stores of limits say the same, whatever is asked of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.driven import DrivenTime, driven_script, driven_time

from deploy.redis import PrivateRedis
from worker.limits.fairness import SAMPLE
from worker.limits.limit import KeyedLimit, parse_limits
from worker.limits.redis import BASE, LISTED_SECONDS, script
from worker.limits.reservations import LimitState, Reservations, Turn, TurnRequest, Wait
from worker.modes.standalone import reservations_of
from worker.settings.settings import load_settings

windows = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 30]), st.integers(1, 6)), max_size=2, unique_by=lambda own: own[0]
)
group_windows = st.lists(
    st.tuples(st.sampled_from([1, 2, 5]), st.integers(1, 12)), min_size=1, max_size=2, unique_by=lambda own: own[0]
)
users = st.sampled_from("abc")
index = st.integers(0, 5)


@dataclass(frozen=True)
class Ask:
    user: str
    times: int
    returns: bool
    """With a place of the line, the `which`th of those that wait; else it is new."""
    which: int


@dataclass(frozen=True)
class Seen:
    which: int


@dataclass(frozen=True)
class GiveBack:
    which: int


@dataclass(frozen=True)
class Renew:
    which: int


@dataclass(frozen=True)
class Leave:
    user: str


@dataclass(frozen=True)
class Learn:
    user: str
    seconds: int
    slow_down: bool


@dataclass(frozen=True)
class Reset:
    user: str


@dataclass(frozen=True)
class Pass:
    seconds: float


Step = Ask | Seen | GiveBack | Renew | Leave | Learn | Reset | Pass

steps = st.lists(
    st.one_of(
        *[st.builds(Ask, users, st.integers(1, 9), st.booleans(), index)] * 6,
        st.builds(Pass, st.integers(1, 2000).map(lambda milliseconds: milliseconds / 1000)),
        st.builds(Pass, st.sampled_from([4, 12, 40])),
        st.builds(Seen, index),
        st.builds(GiveBack, index),
        st.builds(Renew, index),
        st.builds(Leave, users),
        st.builds(Learn, users, st.integers(0, 3), st.booleans()),
        st.builds(Reset, st.sampled_from(["a", "b", "c", ""])),
    ),
    min_size=10,
    max_size=40,
)


@dataclass
class Both:
    """Asks both stores the same, and compares what they say."""

    time: DrivenTime
    keys: dict[str, str]
    here: Reservations
    there: Reservations
    places: dict[str, list[int]] = field(default_factory=lambda: {user: [] for user in "abc"})
    turns: list[tuple[TurnRequest, float]] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    """Whose calls the service may say something of."""
    members: count = field(default_factory=count)  # type: ignore[type-arg]

    async def ask(self, request: TurnRequest, user: str) -> None:
        await self.time.passes(0.000371)
        here, there = await self.here.ask(request), await self.there.ask(request)
        if isinstance(here, Turn) and isinstance(there, Turn):
            assert there.at == pytest.approx(here.at, abs=1e-3)
            self.turns.append((request, here.at))
        else:
            assert isinstance(here, Wait)
            assert isinstance(there, Wait)
            assert there.seconds == pytest.approx(here.seconds, abs=1e-3)
            assert there.place == here.place
            self.places[user].append(here.place)
        assert there.waiting == here.waiting

    async def take(self, step: Step) -> None:
        await self.time.passes(0.000371)
        match step:
            case Pass(seconds):
                await self.time.passes(seconds)
            case Ask(user, times, returns, which):
                self.asked.add(user)
                for _ in range(times):
                    places = self.places[user]
                    place = places.pop(which % len(places)) if places and returns else 0
                    limits = parse_limits(self.keys[user])
                    await self.ask(TurnRequest(limits, f"{user}|shop", f"member {next(self.members)}", place), user)
            case Leave(user) if self.places[user]:
                self.places[user].pop()
                await asyncio.gather(self.here.leave(f"{user}|shop"), self.there.leave(f"{user}|shop"))
            case Learn(user, seconds, slow_down) if user in self.asked:
                for store in (self.here, self.there):
                    await store.learn(parse_limits(self.keys[user]), seconds=seconds, slow_down=slow_down)
            case Reset(user):
                self.asked.clear()
                for store in (self.here, self.there):
                    await store.reset(f"{user}|shop")
            case Seen(which) | GiveBack(which) | Renew(which) if self.turns:
                await self.take_turn(step, which)
        assert await self.known(self.here) == await self.known(self.there)

    async def take_turn(self, step: Step, which: int) -> None:
        request, at = self.turns.pop(which % len(self.turns))
        if isinstance(step, Renew) and self.time.now() - at < 1:
            await self.ask(replace(request, is_renewal=True), request.line[0])
            return
        for store in (self.here, self.there):
            if isinstance(step, GiveBack):
                await store.give_back(request)
            elif self.time.now() - at < 1:
                await store.seen(request, max(at, self.time.now()))
                await store.close()  # what was seen is sent on without being waited for

    async def known(self, store: Reservations) -> Sequence[tuple[str, int, int, int, float]]:
        def parts(state: LimitState) -> tuple[str, int, int, int, float]:
            seconds = 0 if state.next_seconds < 0.001 else round(state.next_seconds, 2)
            return str(state.limit), state.used, state.waiting, state.amount_now, seconds

        return sorted(parts(state) for state in await store.states() if state.used or state.waiting)


@pytest.fixture(autouse=True)
def driven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.limits.redis.script", driven_script)


@settings(max_examples=60)
@given(st.tuples(windows, windows, windows), group_windows, steps)
@example(([(1, 2)],) * 3, [(1, 1)], [Ask("a", 8, False, 0), Reset(""), Ask("a", 1, False, 0), Pass(40)])
def test_both_stores_say_the_same(
    redis: PrivateRedis,
    own: Sequence[Sequence[tuple[int, int]]],
    group: Sequence[tuple[int, int]],
    all_steps: Sequence[Step],
) -> None:
    async def run() -> None:
        time = DrivenTime(f"{redis.url.rpartition('/')[0]}/1")
        await time.redis.flushdb()
        await time.passes(0)
        keys = {
            user: ";".join(
                f"{who}|shop;{seconds};{amount}"
                for who, kept in ((user, windows), ("", group))
                for seconds, amount in kept
            )
            for user, windows in zip("abc", own, strict=True)
        }
        here, there = time.in_memory(), time.in_redis()
        both = Both(time, keys, here, there)
        try:
            for step in all_steps:
                await both.take(step)
        finally:
            await there.close()
            await time.redis.aclose()

    asyncio.run(run())


@pytest.fixture
async def time(redis: PrivateRedis) -> AsyncIterator[DrivenTime]:
    async with driven_time(redis) as made:
        yield made


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, time: DrivenTime) -> AsyncIterator[Reservations]:
    made = time.in_memory() if request.param == "memory" else time.in_redis()
    yield made
    await made.close()


def asking(key: str, place: int = 0, numbers: Iterator[int] = count()) -> TurnRequest:  # noqa: B008 - one row of numbers
    limits = parse_limits(key)
    return TurnRequest(limits, limits[0].key, f"call {next(numbers)}", place)


async def foreseen(store: Reservations, key: str, times: int) -> Sequence[tuple[float, int, int]]:
    """Ask so often; return how long each of those waits that have no turn, its place and how many wait."""
    answers = [await store.ask(asking(key)) for _ in range(times)]
    waits = [answer for answer in answers if isinstance(answer, Wait)]
    return [(round(wait.seconds, 1), wait.place, wait.waiting) for wait in waits]


async def waiting(store: Reservations, key: str) -> int:
    (state,) = [state for state in await store.states(key) if state.limit.key == key]
    return state.waiting


async def every_key_ends(time: DrivenTime) -> bool:
    """Whether Redis forgets by itself all but two words of itself."""
    keys = [key async for key in time.redis.scan_iter(f"{BASE}*")]
    return {key for key in keys if await time.redis.ttl(key) < 0} <= {f"{BASE}epoch", f"{BASE}turns"}


async def test_a_line_that_was_overdue_begins_anew(store: Reservations, time: DrivenTime) -> None:
    key = "d|shop;1;3;|shop;1;3"
    fresh = await foreseen(store, key, 15)
    for place in range(1, 9):
        while not isinstance(await store.ask(asking(key, place)), Turn):
            await time.passes(0.2)
    assert await waiting(store, "d|shop") == 4
    await time.passes(fresh[-1][0] + 11)
    assert isinstance(await store.ask(asking(key, 9)), Turn)
    assert await waiting(store, "d|shop") == 0
    await time.passes(5)
    assert await foreseen(store, key, 15) == fresh
    assert await every_key_ends(time)


async def test_leaving_a_line_that_is_forgotten_changes_nothing(store: Reservations, time: DrivenTime) -> None:
    for _ in range(2):
        await store.leave("e|shop")
    assert [wait[1:] for wait in await foreseen(store, "e|shop;1;1", 3)] == [(1, 1), (2, 2)]
    assert await waiting(store, "e|shop") == 2
    assert await every_key_ends(time)


async def test_a_place_that_was_given_up_by_all_is_left_by_no_more(store: Reservations, time: DrivenTime) -> None:
    await foreseen(store, "e|shop;1;1", 3)
    for _ in range(5):
        await store.leave("e|shop")
    assert await waiting(store, "e|shop") == 0
    assert await every_key_ends(time)


async def test_of_many_lines_those_furthest_behind_are_looked_at(time: DrivenTime) -> None:
    here, there = time.in_memory(), time.in_redis()
    for number in range(3 * SAMPLE):
        for _ in range(1 + number % 7):
            for made in (here, there):
                await made.ask(asking(f"u{number}|shop;30;9;|shop;1;2"))
    last = [await made.ask(asking("u1|shop;30;9;|shop;1;2", 2)) for made in (here, there)]
    assert isinstance(last[0], Wait)
    assert isinstance(last[1], Wait)
    assert last[0].seconds == pytest.approx(last[1].seconds, abs=1e-3)
    await there.close()


async def test_a_user_of_any_name_is_listed(store: Reservations) -> None:
    limits = [KeyedLimit("a;b|shop", 10, 3), KeyedLimit("10;3|shop", 10, 3)]
    for limit in limits:
        await store.ask(TurnRequest([limit], limit.key, limit.key))
    assert {state.limit for state in await store.states()} == set(limits)
    assert [state.limit for state in await store.states("a;b|shop")] == limits[:1]
    assert await store.reset("a;b|shop") == 1
    assert [state.limit for state in await store.states()] == limits[1:]


async def test_a_changed_amount_is_no_second_limit(store: Reservations) -> None:
    for amount in (3, 5):
        await store.ask(asking(f"a|shop;10;{amount}"))
    (state,) = await store.states()
    assert (state.limit.amount, state.used) == (5, 2)


async def test_limits_that_nobody_uses_are_forgotten_whether_or_not_anybody_looks(time: DrivenTime) -> None:
    store = time.in_redis()
    for number in range(30):
        await store.ask(asking(f"u{number}|shop;1;3"))
    await time.passes(LISTED_SECONDS + 1)
    for _ in range(4):
        await store.ask(asking("a|shop;1;9"))
    assert [await time.redis.zcard(f"{BASE}limits"), await time.redis.hlen(f"{BASE}amounts")] == [1, 1]
    assert await every_key_ends(time)
    await store.close()


async def test_an_amount_is_halved_at_most_every_ten_seconds_and_grows_back(
    store: Reservations, time: DrivenTime
) -> None:
    limits = parse_limits("a|shop;1;100")

    async def amount() -> int:
        await store.ask(asking("a|shop;1;100"))
        (state,) = await store.states()
        return state.amount_now

    async def refused() -> int:
        await store.learn(limits, seconds=0, slow_down=True)
        return await amount()

    assert [await amount(), await refused()] == [100, 50]
    await time.passes(5)
    assert await refused() == 50
    await time.passes(145)
    assert await amount() == 75
    await time.passes(150)
    assert await amount() == 100
    assert await refused() == 50
    await time.passes(10.5)
    assert await refused() == 25
    await time.passes(300)
    assert await amount() == 75
    await time.passes(150)
    assert await amount() == 100


async def test_an_amount_is_not_halved_below_one_in_sixty_four_and_is_whole_after_ten_minutes(
    store: Reservations, time: DrivenTime
) -> None:
    for _ in range(20):
        await store.ask(asking("a|shop;1;640"))
        await store.learn(parse_limits("a|shop;1;640"), seconds=0, slow_down=True)
        await time.passes(10.1)
    (low,) = await store.states()
    assert 10 <= low.amount_now <= 32
    await time.passes(600 - 10.1)
    await store.ask(asking("a|shop;1;640"))
    (whole,) = await store.states()
    assert whole.amount_now == 640


@pytest.mark.parametrize("kind", ["memory", "redis"])
@pytest.mark.parametrize(("recovery", "amounts"), [(None, [8, 8]), (0, [8, 8]), (600, [8, 4])])
async def test_a_refusal_halves_the_amount_only_where_the_settings_say_so(
    redis_url: str, kind: str, recovery: float | None, amounts: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.limits.redis.script", script)
    monkeypatch.delenv("WORKER_LIMIT_RECOVERY", raising=False)
    settings_ = load_settings(redis_url=redis_url if kind == "redis" else None, limit_recovery=recovery)
    store = reservations_of(settings_, lambda: 1)
    key = f"{kind} {recovery}|shop"
    try:
        found = []
        for _ in range(2):
            await store.ask(asking(f"{key};60;8"))
            found += [state.amount_now for state in await store.states(key)]
            await store.learn(parse_limits(f"{key};60;8"), seconds=0, slow_down=True)
    finally:
        await store.reset(key)
        await store.close()
    assert found == amounts


async def test_what_a_refusal_has_left_is_shown_by_whoever_looks(time: DrivenTime) -> None:
    worker, command = time.in_redis(recovery_seconds=600), time.in_redis(recovery_seconds=4)
    await worker.ask(asking("a|shop;1;8"))
    await worker.learn(parse_limits("a|shop;1;8"), seconds=0, slow_down=True)
    await time.passes(8)
    assert [state.amount_now for store in (worker, command) for state in await store.states()] == [4, 4]
    await worker.close()
    await command.close()
