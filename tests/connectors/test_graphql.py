"""GraphQL: errors in a 200 reply become outcomes."""

import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel
from support.calls import bench, data_of

from applications import Application
from connectors import Connection, Endpoints, Forward, Page, Repeat, Rules, Trash
from connectors.rate import RateNotice
from connectors.trail import TRAIL_HEADER


class Shop(Application):
    key = "shop"
    base_url = "http://shop.invalid"


class Order(BaseModel):
    id: str


shop = Endpoints(Shop, graphql_path="/graphql", rules=Rules(max_hops=4))
ORDER = "query Order($id: ID!) { order(id: $id) { id } }"
get_order = shop.graphql("get", ORDER, Any, Order, at="order")

COST = {
    "requestedQueryCost": 100,
    "throttleStatus": {"maximumAvailable": 1000, "currentlyAvailable": 20, "restoreRate": 16},
}


async def outcome_of(answer: Any, **headers: Any) -> tuple[Any, list[RateNotice]]:
    async def reply(request: web.Request) -> web.StreamResponse:
        return web.json_response(answer)

    async with bench(reply) as at:
        return await at.call(get_order, {"id": "7"}, **headers), at.notices


async def test_a_query_carries_its_variables() -> None:
    asked: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((request.method, request.path, await request.json()))
        return web.json_response({"data": {"order": {"id": "7", "more": 1}}})

    async with bench(answer) as at:
        assert data_of(await at.call(get_order, {"id": "7"})) == {"id": "7"}
    assert asked == [("POST", "/graphql", {"query": ORDER, "variables": {"id": "7"}})]


async def test_variables_that_nobody_has_set_are_left_to_the_query() -> None:
    class Search(BaseModel):
        query: str | None = None
        first: int | None = None
        state: str = "open"

    asked: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((await request.json())["variables"])
        return web.json_response({"data": {"order": {"id": "7"}}})

    search = shop.graphql("search", ORDER, Search, Order, at="order")
    async with bench(answer) as at:
        await at.call(search, {"query": None})
    assert asked == [{"query": None, "state": "open"}]


async def test_errors_go_to_the_trash_with_text_and_place() -> None:
    errors = [{"message": "No such field", "path": ["order", 0, "name"]}, {"message": "And more"}]
    outcome, _ = await outcome_of({"data": None, "errors": errors})
    assert isinstance(outcome, Trash)
    assert outcome.reason.endswith("/graphql answered 200: No such field (at order.0.name); And more")


async def test_a_throttled_query_comes_back_when_its_cost_is_restored() -> None:
    errors = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
    outcome, notices = await outcome_of({"errors": errors, "extensions": {"cost": COST}})
    assert outcome == Repeat(timedelta(seconds=5), outcome.reason, 4)
    assert notices == [RateNotice("shop", "alice", 5, 20, None)]


async def test_a_passing_error_is_tried_again() -> None:
    outcome, _ = await outcome_of({"errors": [{"message": "oops", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]})
    assert isinstance(outcome, Repeat)
    assert outcome.after == timedelta(seconds=60)


async def test_the_cost_of_a_success_is_told_to_the_limiter() -> None:
    cost = {**COST, "throttleStatus": {**COST["throttleStatus"], "currentlyAvailable": 900}}
    outcome, notices = await outcome_of({"data": {"order": {"id": "7"}}, "extensions": {"cost": cost}})
    assert isinstance(outcome, Forward)
    assert notices == [RateNotice("shop", "alice", None, 900, None)]


async def test_a_mutation_that_is_refused_goes_to_the_trash() -> None:
    refused = {"userErrors": [{"field": ["input", "sku"], "message": "is taken"}]}
    outcome, _ = await outcome_of({"data": {"productCreate": {"product": None, **refused}}})
    assert isinstance(outcome, Trash)
    assert "refused: input.sku: is taken" in outcome.reason


@pytest.mark.parametrize("answer", [[], {"order": 1}, "text"])
async def test_an_answer_that_is_none(answer: Any) -> None:
    outcome, _ = await outcome_of(answer)
    assert isinstance(outcome, Trash)
    assert "no answer of a GraphQL service" in outcome.reason


QUERY = "query Orders($after: String) { orders(first: 2, after: $after) { nodes { id } pageInfo { hasNextPage } } }"


async def test_a_connection_is_paged_to_its_end() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        after = (await request.json())["variables"]["after"]
        at = int(after or 0)
        edges = [{"node": {"id": str(number)}} for number in (at + 1, at + 2)]
        info = {"hasNextPage": at < 4, "endCursor": str(at + 2)}
        return web.json_response({"data": {"orders": {"edges": edges, "pageInfo": info}}})

    orders = shop.connection("list", QUERY, Any, Order, pages=Connection(at="orders"))
    headers: dict[str, str] = {}
    found: list[str] = []
    async with bench(answer) as at:
        while True:
            page: Any = await at.call(orders, {"after": "ignored"}, **headers)
            assert isinstance(page, Page)
            found += [order.id for order in page.items]
            if page.next_cursor is None:
                break
            headers = {"cursor": page.next_cursor, TRAIL_HEADER: page.trail}
    assert found == list("123456")


async def test_a_connection_that_ignores_its_cursor_is_noticed() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        info = {"hasNextPage": True, "endCursor": "x"}
        return web.json_response({"data": {"orders": {"nodes": [{"id": "1"}], "pageInfo": info}}})

    orders = shop.connection("list", QUERY, Any, Order, pages=Connection(at="orders"))
    async with bench(answer) as at:
        first: Any = await at.call(orders, json.dumps({}))
        second = await at.call(orders, "{}", cursor=first.next_cursor, **{TRAIL_HEADER: first.trail})
    assert isinstance(second, Trash)
    assert "page 2 holds the same 1 items" in second.reason
