"""Limits of calls over HTTP: what the caller's `limiter-key` names is kept by the caller, the rest here."""

import time
from typing import Any

import pytest
from support.serving import Asked, serving

from applications import Application, Limit
from connectors.functions import connector, custom_node
from worker.errors import LimitsAway
from worker.limits import calls
from worker.limits.memory import MemoryReservations
from worker.limits.unshared import UnsharedReservations

CALLED: list[str] = []


class Shop(Application):
    """Allows two calls a minute to each user, and three to all of them."""

    key = "shop"
    limit = Limit(60, 2)
    group_limit = Limit(60, 3)


class Free(Application):
    """Has no limit."""

    key = "free"


@connector("shop-get", application=Shop)
async def shop_get(data: Any) -> Any:
    CALLED.append("shop")
    return data


@connector("free-get", application=Free)
async def free_get(data: Any) -> Any:
    return data


@custom_node("of-nobody")
async def of_nobody(data: Any) -> Any:
    return data


def limited(**settings: Any) -> Asked:
    CALLED.clear()
    store = MemoryReservations(time.monotonic, guard_seconds=0)
    return serving(shop_get, free_get, of_nobody, reservations=store, **settings)


async def codes(ask: Asked, path: str, times: int, **headers: Any) -> list[str]:
    return [(await ask.call(path, {}, **headers)).headers["result-code"] for _ in range(times)]


async def test_no_more_calls_are_made_than_the_application_allows() -> None:
    ask = limited()
    assert await codes(ask, "/connector/shop-get/action", 3, user="alice") == ["0", "0", "1004"]
    assert await codes(ask, "/connector/shop-get/action", 2, user="bob") == ["0", "1004"]
    assert len(CALLED) == 3


async def test_who_has_to_wait_learns_for_which_limits_so_that_the_caller_can_keep_them() -> None:
    ask = limited()
    await codes(ask, "/connector/shop-get/action", 2, user="alice", sdk="own")
    told = await ask.call("/connector/shop-get/action", {"id": 1}, user="alice", sdk="own", limiter_key="x|other;1;1")
    assert told.status == 200
    assert told.data["body"] == '{"id": 1}'
    assert told.headers["limiter-key"] == "x|other;1;1;alice|own:shop;60;2;|own:shop;60;3"
    assert told.headers["result-message"] == "limit of shop"
    again = await ask.call("/connector/shop-get/action", {}, **told.headers)
    assert again.headers["limiter-key"] == told.headers["limiter-key"]


@pytest.mark.parametrize("key", ["alice|shop;60;2;|shop;60;3", "alice|shop;60;1000;|shop;1;1"])
async def test_what_the_caller_keeps_is_not_counted_twice(key: str) -> None:
    ask = limited()
    assert await codes(ask, "/connector/shop-get/action", 5, user="alice", limiter_key=key) == ["0"] * 5


@pytest.mark.parametrize("key", ["", "nonsense", "alice|shop;60", "alice|shop;x;y", 5, None, ["a"], "|other;1;1"])
async def test_a_key_that_names_no_limit_of_the_application_keeps_none(key: Any) -> None:
    ask = limited()
    assert await codes(ask, "/connector/shop-get/action", 3, user="alice", limiter_key=key) == ["0", "0", "1004"]


async def test_a_place_that_a_caller_claims_counts_for_nothing() -> None:
    ask = limited()
    found = await codes(ask, "/connector/shop-get/action", 4, user="alice", limit_place="1")
    assert found == ["0", "0", "1004", "1004"]


async def test_what_is_no_call_of_a_limited_service_asks_nobody() -> None:
    ask = limited()
    assert await codes(ask, "/connector/free-get/action", 4, user="alice") == ["0"] * 4
    assert await codes(ask, "/custom-node/of-nobody/process", 4, user="alice") == ["0"] * 4


async def test_while_limits_cannot_be_kept_the_caller_is_told_in_time_and_nothing_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "WAIT_SECONDS", 0.05)
    own = MemoryReservations(time.monotonic, guard_seconds=0)
    CALLED.clear()
    ask = serving(shop_get, reservations=UnsharedReservations(own, lambda: 2, are_divided=False))
    with pytest.raises(LimitsAway):
        await UnsharedReservations(own, lambda: 2, are_divided=False).ask(None)  # type: ignore[arg-type] # not looked at
    began = time.monotonic()
    assert await codes(ask, "/connector/shop-get/action", 1, user="alice") == ["1004"]
    assert time.monotonic() - began < 5
    assert not CALLED
