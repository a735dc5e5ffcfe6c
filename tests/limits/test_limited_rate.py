"""The rate that a limit allows is used, whoever has how many messages: thousands of messages, by a clock that jumps."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from applications import Application, Limit
from benchmarks.limits import most_in_any_window
from connectors import Connector, Message
from worker.testing import InMemoryTopology

SECONDS, AMOUNT = 2, 60

TENANTS: Mapping[str, Mapping[str, int]] = {
    "equal": {f"t{number}": 40 for number in range(25)},
    "one with nearly all": {"huge": 970, **{f"t{number}": 5 for number in range(6)}},
    "half, a quarter, an eighth": {f"t{number}": 512 >> number for number in range(10)},
}


class Shop(Application):
    """A service with a limit of all its users."""

    key = "shop"
    group_limit = Limit(SECONDS, AMOUNT)


class Call(Connector[Any, Any]):
    """Notes when it is called, and for whom."""

    name = "call"
    application = Shop

    def __init__(self) -> None:
        self.calls: list[tuple[float, str, int]] = []
        self.clock: Any = None

    async def process(self, message: Message[Any]) -> Message[Any]:
        self.calls.append((self.clock(), message.headers["user"], message.data))
        return message


async def run(messages: Mapping[str, int], **limiter_keys: str) -> list[tuple[float, str, int]]:
    """Let all messages lie in the queue at once; return the calls."""
    settings = {"actionPath": "/connector/call/action", "rabbitPrefetch": 200}
    node = {"id": "ask", "name": "ask", "worker": "worker.http", "application": "shop", "settings": settings}
    action, left = Call(), Counter(messages)
    async with InMemoryTopology({"id": "t", "name": "t", "nodes": [node]}, [action], max_messages=100_000) as topology:
        action.clock = topology.clock
        for number in range(max(messages.values())):
            for user in [user for user in messages if left[user] > 0]:
                left[user] -= 1
                headers = {"limiter-key": limiter_keys[user]} if user in limiter_keys else {}
                await topology.start("ask", number, user=user, headers=headers)
        await topology.run()
    return action.calls


@pytest.mark.parametrize("messages", TENANTS.values(), ids=TENANTS)
async def test_the_rate_is_used_and_never_exceeded(messages: Mapping[str, int]) -> None:
    calls = await run(messages)
    total, times = sum(messages.values()), [at for at, _, _ in calls]
    assert len(calls) == total
    assert most_in_any_window(times, SECONDS) <= AMOUNT
    rounds = -(-total // AMOUNT) - 1
    assert times[-1] <= rounds * SECONDS * 1.03, "3 % for what the guarantee costs"


async def test_who_is_kept_back_by_a_limit_of_their_own_does_not_hold_up_others() -> None:
    own = {f"slow{number}": f"slow{number}|shop;{SECONDS};2" for number in range(3)}
    calls = await run({"fast": 600, **dict.fromkeys(own, 60)}, **own)
    last = {user: max(at for at, other, _ in calls if other == user) for user in ("fast", *own)}
    assert last["fast"] <= 600 / (AMOUNT - 2 * len(own)) * SECONDS * 1.05
    assert all(last[user] <= 60 / 2 * SECONDS * 1.12 for user in own)


async def test_equal_tenants_have_equal_shares_and_keep_their_order() -> None:
    calls = await run(TENANTS["equal"])
    half = Counter(user for _, user, _ in calls[: len(calls) // 2])
    assert max(half.values()) - min(half.values()) <= 2
    numbers = defaultdict(list)
    for _, user, number in calls:
        numbers[user].append(number)
    for own in numbers.values():
        assert max(abs(place - number) for place, number in enumerate(own)) <= 5
