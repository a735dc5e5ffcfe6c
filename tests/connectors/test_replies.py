"""What replies mean for the message."""

from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from support.calls import bench

from applications import Application
from connectors import (
    Connector,
    Endpoints,
    Exponential,
    Forward,
    Limited,
    Message,
    Repeat,
    Rules,
    Stop,
    Trash,
    limited_when,
    repeat_when,
    stop_when,
    trash_when,
)
from connectors.rate import RateNotice, read_notice
from connectors.rules import parse_codes


class Shop(Application):
    key = "shop"
    base_url = "http://shop.invalid"


shop = Endpoints(Shop)


def fetch(**more: Any) -> Any:
    return shop.get("shop-fetch", "/thing", Any, Any, **more)


def answering(status: int, body: Any = None, **headers: str) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=named)
        return web.json_response(body, status=status, headers=named)

    return answer


async def outcome_of(answer: Any, action: Any = None, **headers: Any) -> Any:
    async with bench(answer) as at:
        return await at.call(action or fetch(), {}, **headers)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Forward), (201, Forward), (299, Forward),
        (304, Trash), (400, Trash), (401, Trash), (404, Trash), (407, Trash), (409, Trash), (428, Trash), (499, Trash),
        (408, Repeat), (429, Repeat), (500, Repeat), (503, Repeat), (599, Repeat),
    ],
)  # fmt: skip
async def test_the_defaults_are_the_platforms(status: int, kind: type) -> None:
    outcome = await outcome_of(answering(status, {"id": 1} if status != 304 else ""))
    assert isinstance(outcome, kind)
    if isinstance(outcome, Repeat):
        assert (outcome.after, outcome.max_hops) == (timedelta(seconds=60), 10)


async def test_a_refusal_says_which_request_and_what_the_service_says_but_no_query() -> None:
    body = {"message": "Validation failed", "errors": [{"field": "title"}], "echo": "hunter2"}
    outcome = await outcome_of(answering(422, body), fetch(query={"token": "hunter2"}))
    assert "/thing answered 422: Validation failed; errors: [{'field': 'title'}]" in outcome.reason
    assert outcome.reason.startswith("GET http://127.0.0.1:")
    assert "hunter2" not in outcome.reason


async def test_rules_of_a_call_win_over_the_actions_and_these_over_the_applications() -> None:
    class Strict(Application):
        key = "strict"
        rules = Rules(trash="500", stop="404", delay=timedelta(seconds=5), max_hops=3)

    class Ask(Connector[Any, Any]):
        name = "ask"
        application = Strict
        rules = Rules(repeat="404", max_hops=7)

        async def process(self, message: Message[Any]) -> Message[Any]:
            status = message.data["status"]
            await self.get("/thing", rules=Rules(success="418") if message.data.get("tea") else Rules())
            return message.with_data(status)

    async with bench(answering(500)) as at:
        assert isinstance(await at.call(Ask(), {"status": 500}), Trash)
    async with bench(answering(404)) as at:
        assert await at.call(Ask(), {"status": 404}) == Repeat(
            timedelta(seconds=5), f"GET {at.url}/thing answered 404", 7
        )
    async with bench(answering(418)) as at:
        assert isinstance(await at.call(Ask(), {"status": 418}), Trash)
        assert isinstance(await at.call(Ask(), {"status": 418, "tea": True}), Forward)


async def test_checks_of_a_call_are_asked_before_the_actions_and_these_before_the_applications() -> None:
    class Strict(Application):
        key = "strict"
        rules = Rules(checks=[trash_when(lambda reply: "all" in reply.text, "application")])

    class Ask(Connector[Any, Any]):
        name = "ask"
        application = Strict
        rules = Rules(checks=[trash_when(lambda reply: reply.text in {"all", "two"}, "action")])

        async def process(self, message: Message[Any]) -> Message[Any]:
            own = Rules(checks=[stop_when(lambda reply: reply.text == "all", "call")])
            await self.get("/thing", rules=own if message.data["with_call"] else Rules())
            return message

    async with bench(answering(200, "all")) as at:
        assert await at.call(Ask(), {"with_call": True}) == Stop(f"GET {at.url}/thing answered 200: call")
        assert (await at.call(Ask(), {"with_call": False})).reason.endswith(": action")
    async with bench(answering(200, "all of them")) as at:
        assert (await at.call(Ask(), {"with_call": True})).reason.endswith(": application")


@pytest.mark.parametrize(("own", "expected"), [(0, 0), (None, 7)])
async def test_zero_hops_are_not_taken_for_hops_that_are_left_open(own: int | None, expected: int) -> None:
    class Lasting(Application):
        key = "lasting"
        rules = Rules(max_hops=7)

    ask = Endpoints(Lasting).get("ask", "/thing", Any, Any, rules=Rules(max_hops=own))
    assert (await outcome_of(answering(500), ask)).max_hops == expected


async def test_checks_look_at_the_body_of_a_success() -> None:
    rules = Rules(
        checks=(
            trash_when(lambda reply: reply.json().get("ok") is False, lambda reply: reply.json()["error"]),
            repeat_when(lambda reply: reply.json().get("state") == "busy", "still busy"),
            stop_when(lambda reply: reply.json().get("state") == "gone", "gone"),
            limited_when(lambda reply: "slow down" in reply.text, "slow down", codes="403"),
        ),
        delay=timedelta(seconds=3),
    )
    ask = fetch(rules=rules)
    refused = await outcome_of(answering(200, {"ok": False, "error": "no_such_channel"}), ask)
    assert isinstance(refused, Trash)
    assert refused.reason.endswith("/thing answered 200: no_such_channel")
    busy = await outcome_of(answering(200, {"state": "busy"}), ask)
    assert isinstance(busy, Repeat)
    assert busy.after == timedelta(seconds=3)
    assert isinstance(await outcome_of(answering(200, {"state": "gone"}), ask), Stop)
    limited = await outcome_of(answering(403, "slow down", Retry_After="40"), ask)
    assert isinstance(limited, Limited)
    assert limited.after == timedelta(seconds=40)
    assert isinstance(await outcome_of(answering(403, "go away"), ask), Trash)
    assert isinstance(await outcome_of(answering(200, {"state": "done"}), ask), Forward)


async def test_the_services_time_wins_over_the_rules_and_the_limiter_hears_of_it() -> None:
    async with bench(answering(429, {}, Retry_After="77", X_RateLimit_Remaining="0")) as at:
        outcome = await at.call(fetch(rules=Rules(delay=Exponential())), {}, user="bob")
    assert isinstance(outcome, Repeat)
    assert outcome.after == timedelta(seconds=77)
    assert at.notices == [RateNotice("shop", "bob", 77, 0, is_refusal=True)]


async def test_a_success_tells_the_limiter_what_is_left() -> None:
    async with bench(answering(200, {}, X_RateLimit_Remaining="41", X_RateLimit_Reset="9")) as at:
        assert isinstance(await at.call(fetch(), {}), Forward)
    assert at.notices == [RateNotice("shop", "alice", None, 41, 9)]


DATE = "Tue, 24 Nov 2026 13:00:00 GMT"
EPOCH = 1_795_525_200


META = '{"1": [{"call_count": 95, "estimated_time_to_regain_access": 19}, {"estimated_time_to_regain_access": 0}]}'


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (503, {"retry-after": "12"}, (12, None, None)),
        (429, {"retry-after": "Tue, 24 Nov 2026 13:00:30 GMT", "date": DATE}, (30, None, None)),
        (429, {"retry-after": "Mon, 23 Nov 2026 13:00:30 GMT", "date": DATE}, (0, None, None)),
        (429, {"retry-after": "soon"}, (None, None, None)),
        (429, {"x-ratelimit-reset": str(EPOCH + 20), "date": DATE}, (20, None, 20)),
        (429, {"x-ratelimit-reset": str((EPOCH + 20) * 1000), "date": DATE}, (20, None, 20)),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "5"}, (5, 0, 5)),
        (200, {"x-ratelimit-remaining": "7", "x-ratelimit-reset": "5"}, (None, 7, 5)),
        (429, {"x-ratelimit-reset-after": "1.5", "x-ratelimit-reset": str(EPOCH)}, (1.5, None, 1.5)),
        (200, {"x-rate-limit-reset": "2026-11-24T13:00:08Z", "date": DATE}, (None, None, 8)),
        (200, {"ratelimit": '"default";r=50;t=30'}, (None, 50, 30)),
        (200, {"ratelimit": '"burst";r=50;t=1, "daily";r=0;t=36000'}, (36000, 0, 36000)),
        (200, {"ratelimit": '"daily";r=900;t=36000, "burst";r=3;t=1'}, (None, 3, 1)),
        (200, {"ratelimit": '"burst";r=0;t=1, "daily";r=0;t=36000'}, (36000, 0, 36000)),
        (200, {"ratelimit": '"r=1;t=2";r=7;t=30'}, (None, 7, 30)),
        (429, {"ratelimit": '"daily";t=30'}, (30, None, 30)),
        (200, {"ratelimit": '"daily";r=0;t=999999999999999'}, (86400, 0, 86400)),
        (200, {"ratelimit": "limit=100, remaining=0, reset=30"}, (30, 0, 30)),
        (200, {"ratelimit": "limit=100;w=60, remaining=41, reset=9"}, (None, 41, 9)),
        (200, {"ratelimit": "limit=100"}, None),
        (200, {"ratelimit": '"daily";r=-1;t=x, "other";r'}, None),
        (200, {"ratelimit": "remaining=1, reset=;"}, None),
        (200, {"ratelimit": "\u017e"}, None),
        (429, {"x-ratelimit-reset": "540 seconds"}, (540, None, 540)),
        (200, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, (360, 0, 360)),
        (429, {"x-ratelimit-reset-requests": "250ms"}, (0.25, None, 0.25)),
        (200, {"x-rate-limit-requests-left": "0", "x-rate-limit-time-reset-ms": "4500"}, (4.5, 0, 4.5)),
        (429, {"x-sib-ratelimit-reset": "17"}, (17, None, 17)),
        (429, {"x-sib-ratelimit-remaining": "0", "x-sib-ratelimit-reset": "17"}, (17, 0, 17)),
        (200, {"x-minlimit-remaining": "45"}, (None, 45, None)),
        (200, {"x-ratelimit-bucket-filling": "150/200"}, (None, 50, None)),
        (400, {"x-business-use-case-usage": META}, (19 * 60, 0, None)),
        (200, {"ratelimit-remaining": "3", "ratelimit-reset": "10"}, (None, 3, 10)),
        (200, {"x-shopify-shop-api-call-limit": "39/40"}, (None, 1, None)),
        (200, {"x-shopify-shop-api-call-limit": "43/40"}, (None, 0, None)),
        (200, {"retry-after": "99999999999999"}, (86400, None, None)),
        (200, {"retry-after": "nan"}, None),
        (200, {"content-type": "text/plain"}, None),
    ],
)
def test_forms_of_rate_headers(status: int, headers: dict[str, str], expected: Any) -> None:
    notice = read_notice("shop", "bob", status, headers)
    found = None if notice is None else (notice.resume_after_seconds, notice.remaining, notice.reset)
    assert found == expected


async def test_a_growing_delay_has_full_jitter_and_an_end() -> None:
    delay = Exponential(first=timedelta(seconds=10), factor=3, longest=timedelta(minutes=5))
    most = [delay.after(hop, lambda low, high: high) for hop in (1, 2, 3, 4, 5, 10_000)]
    assert [wait.total_seconds() for wait in most] == [10, 30, 90, 270, 300, 300]
    assert delay.after(3, lambda low, high: low) == timedelta(seconds=1)
    outcome = await outcome_of(answering(500), fetch(rules=Rules(delay=delay, max_hops=9)), repeat_hops="4")
    assert timedelta(seconds=1) <= outcome.after <= timedelta(seconds=270)
    assert outcome.max_hops == 9


async def test_a_service_that_cannot_be_reached_is_asked_again_later() -> None:
    async with bench(answering(200)) as at:
        pass
    outcome = await at.call(fetch(), {})
    assert isinstance(outcome, Repeat)
    await at.http.close()
    assert "Cannot connect to host" in outcome.reason
    assert at.calls[-1].status == 0


async def test_a_refused_call_is_never_repeated_past_the_limiter() -> None:
    async with bench(answering(503, {}, Retry_After="0")) as at:
        outcome = await at.call(fetch(), {})
    assert isinstance(outcome, Repeat)
    assert outcome.after == timedelta(seconds=1)
    assert len(at.calls) == 1


def test_codes_are_numbers_ranges_and_classes() -> None:
    assert parse_codes("200, 404 500-502") == {200, 404, 500, 501, 502}
    assert parse_codes("5xx") == set(range(500, 600))
    assert parse_codes({200, 409}) == {200, 409}
    for wrong in ("abc", "2x", "99", "400-", "600-601"):
        with pytest.raises(ValueError, match="status code"):
            parse_codes(wrong)
    with pytest.raises(ValueError, match="status 404 cannot mean both success and stop"):
        Rules(success="200 404", stop=404)
