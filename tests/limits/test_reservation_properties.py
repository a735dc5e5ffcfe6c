"""What the service sees, for any keys, windows and moments: never more calls than a limit allows."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.limits.gate import WAY_SECONDS
from worker.limits.limit import parse_limits
from worker.limits.memory import MemoryReservations
from worker.limits.reservations import LATEST_SECONDS, SLACK_SECONDS, Turn, TurnRequest

windows = st.tuples(st.integers(1, 5), st.integers(1, 6))
users = st.sampled_from("abc")


@dataclass(frozen=True)
class Ask:
    """One message asks: after a pause, and what happens to its turn."""

    user: str
    pause: float
    late: float
    """How much later than its turn the service sees the call."""
    is_used: bool
    is_seen: bool
    """Whether the store is told when the call has ended."""


asks = st.lists(
    st.builds(
        Ask, users, st.floats(0, 1.5), st.floats(0, LATEST_SECONDS + WAY_SECONDS), st.booleans() | st.just(True),
        st.booleans(),
    ),
    max_size=60,
)  # fmt: skip


class Service:
    """Sees the calls of messages that ask a store, by a clock of its own."""

    def __init__(self, own: Sequence[tuple[int, int]], group: Sequence[tuple[int, int]]) -> None:
        self.now = 0.0
        self.store = MemoryReservations(lambda: self.now, guard_seconds=0)
        self.seen: defaultdict[str, list[float]] = defaultdict(list)
        self._own, self._group = own, group
        self._due: list[tuple[float, int, TurnRequest, Ask]] = []
        self._numbers = count()

    def limits(self, user: str) -> str:
        return ";".join(
            f"{who}|shop;{seconds};{amount}"
            for who, windows in ((user, self._own), ("", self._group))
            for seconds, amount in windows
        )

    async def ask(self, asked: Ask) -> None:
        await self.pass_until(self.now + asked.pause)
        number = next(self._numbers)
        request = TurnRequest(parse_limits(self.limits(asked.user)), f"{asked.user}|shop", f"member {number}")
        answer = await self.store.ask(request)
        if isinstance(answer, Turn):
            heappush(self._due, (answer.at + asked.late, number, request, asked))

    async def pass_until(self, moment: float) -> None:
        while self._due and self._due[0][0] <= moment:
            self.now, _, request, asked = heappop(self._due)
            if not asked.is_used:
                await self.store.give_back(request)
                continue
            for key in {limit.key for limit in request.limits}:
                self.seen[key].append(self.now)
            if asked.is_seen:
                await self.store.seen(request, self.now)
        self.now = moment


@settings(max_examples=200)
@given(st.lists(windows, max_size=2), st.lists(windows, min_size=1, max_size=2), asks)
def test_the_service_never_sees_more_calls_than_allowed(
    own: Sequence[tuple[int, int]], group: Sequence[tuple[int, int]], all_asks: Sequence[Ask]
) -> None:
    service = Service(own, group)

    async def run() -> None:
        for asked in all_asks:
            await service.ask(asked)
        await service.pass_until(service.now + 10)

    asyncio.run(run())
    for key, times in service.seen.items():
        for seconds, amount in own if key.startswith(("a", "b", "c")) else group:
            for first, last in zip(times, times[amount:], strict=False):
                assert last - first >= seconds - 1e-4, f"{amount + 1} calls of {key} within {seconds} s"


@settings(max_examples=100)
@given(st.lists(windows, max_size=2), st.lists(windows, max_size=2), asks)
def test_nothing_is_left_of_users_and_messages_that_are_long_gone(
    own: Sequence[tuple[int, int]], group: Sequence[tuple[int, int]], all_asks: Sequence[Ask]
) -> None:
    service = Service(own or [(1, 1)], group)

    async def run() -> None:
        for asked in all_asks:
            await service.ask(asked)
        service.now += 86_400
        await service.store.states()

    asyncio.run(run())
    assert not [name for name, held in vars(service.store).items() if isinstance(held, dict) and held]


def test_the_slack_covers_what_a_call_may_be_late() -> None:
    assert LATEST_SECONDS + WAY_SECONDS <= SLACK_SECONDS
