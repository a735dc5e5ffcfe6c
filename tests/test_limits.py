"""The limit gate: what passes, what waits, and never more calls than allowed."""

from typing import Any

import pytest
from support.visits import node, visit

from connectors import Trash
from worker.limits import Go, Held, Limit, LocalGate, PlatformGate, parse_limits
from worker.topology import Role
from worker.visit import Visit

KEY = "alice|shop;10;2;|shop;1;40"


def limited(**headers: Any) -> Visit:
    at = node("next", role=Role.CONNECTOR, application="shop", headers={"sdk": "php"})
    return visit(at, **{"limiter_key": KEY} | headers)


def test_a_key_is_read_as_groups_of_three() -> None:
    assert parse_limits(KEY) == [Limit("alice|shop", 10, 2), Limit("|shop", 1, 40)]
    assert parse_limits(KEY + ";") == parse_limits(KEY)
    assert parse_limits("") == []


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("alice|shop;10", "'10' is left over"),
        ("alice|shop;ten;1", "seconds of 'alice|shop'"),
        ("alice|shop;1;0", "amount"),
        ("a|shop;1;-4", "amount"),
    ],
)
def test_a_malformed_key_is_trashed_with_the_part_named(key: str, part: str) -> None:
    decision = LocalGate(lambda: 0).admit(limited(limiter_key=key))
    assert isinstance(decision, Trash)
    assert part in decision.reason


def test_the_platforms_limiter_gets_what_has_not_passed_it() -> None:
    gate = PlatformGate()
    assert gate.admit(limited()) == Held("shop")
    assert gate.admit(limited(limit_message_from_limiter="1")) == Go()
    assert gate.admit(limited(limiter_key="alice|other;1;1")) == Go()
    assert gate.admit(limited(limiter_key="alice|php:shop;1;1")) == Held("shop")


def test_custom_nodes_are_not_limited() -> None:
    at = node("next", role=Role.CUSTOM_NODE, application="shop")
    assert PlatformGate().admit(visit(at, limiter_key=KEY)) == Go()


def test_calls_in_any_window_never_exceed_the_amount() -> None:
    now = 100.0
    gate = LocalGate(lambda: now)
    turns = []
    for _ in range(40):
        match gate.admit(limited(limiter_key="alice|shop;3;5;|shop;10;12")):
            case Go(wait):
                turns.append(now + wait)
            case Held(_, after):
                turns.append(now + after)
        now += 0.1
    for seconds, amount in ((3, 5), (10, 12)):
        for start in turns:
            assert sum(start <= turn < start + seconds for turn in turns) <= amount


def test_a_distant_turn_is_waited_for_in_the_broker() -> None:
    gate = LocalGate(lambda: 0)
    decisions = [gate.admit(limited(limiter_key="alice|shop;10;1")) for _ in range(2)]
    assert decisions[0] == Go(0)
    assert isinstance(decisions[1], Held)
    assert decisions[1].after_seconds >= 10


def test_users_do_not_share_their_own_limits() -> None:
    gate = LocalGate(lambda: 0)
    assert [gate.admit(limited(limiter_key=f"{user}|shop;10;1")) for user in ("alice", "bob")] == [Go(), Go()]
