"""GraphQL: errors in a 200 reply become outcomes."""

import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel
from support.calls import bench, data_of

from applications import Application
from applications.http.errors import ReplyUnreadable
from connectors import Connection, Connector, Endpoints, Forward, GraphQLFailed, Message, Page, Repeat, Rules, Trash
from connectors.graphql import nodes_of
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


@pytest.mark.parametrize("figure", [None, "many", {}, [], True, -1])
@pytest.mark.parametrize("place", ["requestedQueryCost", "currentlyAvailable"])
async def test_costs_that_are_no_figures_spoil_no_answer(figure: Any, place: str) -> None:
    cost = {**COST, "throttleStatus": {**COST["throttleStatus"]}}
    (cost if place in cost else cost["throttleStatus"])[place] = figure
    outcome, notices = await outcome_of({"data": {"order": {"id": "7"}}, "extensions": {"cost": cost}})
    assert isinstance(outcome, Forward)
    assert notices == []


@pytest.mark.parametrize("extensions", [None, [], "x", {"cost": None}, {"cost": []}, {"cost": {"throttleStatus": 1}}])
async def test_extensions_in_any_form_spoil_no_answer(extensions: Any) -> None:
    outcome, _ = await outcome_of({"data": {"order": {"id": "7"}}, "extensions": extensions})
    assert isinstance(outcome, Forward)


async def test_costs_that_are_written_as_text_are_read() -> None:
    status = {"currentlyAvailable": "900", "restoreRate": "50"}
    cost = {"requestedQueryCost": "10", "throttleStatus": status}
    _, notices = await outcome_of({"data": {"order": {"id": "7"}}, "extensions": {"cost": cost}})
    assert notices == [RateNotice("shop", "alice", None, 900, None)]


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        ("no such field", "no such field"),
        ({"message": "no such field", "path": "order"}, "no such field (at order)"),
        (500, "500"),
        (["no such field", 7, None], "no such field; 7; None"),
        ([{"code": 7}], '{"code":7}'),
        ([{"message": None, "path": 3}], '{"message":null,"path":3} (at 3)'),
        (True, "True"),
    ],
)
async def test_errors_in_any_form_go_to_the_trash(errors: Any, text: str) -> None:
    outcome, _ = await outcome_of({"data": {"order": {"id": "7"}}, "errors": errors})
    assert isinstance(outcome, Trash)
    assert outcome.reason.endswith(f"answered 200: {text}")


@pytest.mark.parametrize("errors", [None, [], {}, "", False, 0])
async def test_no_errors_in_any_form_are_none(errors: Any) -> None:
    assert isinstance((await outcome_of({"data": {"order": {"id": "7"}}, "errors": errors}))[0], Forward)


@pytest.mark.parametrize("name", ["userErrors", "mediaUserErrors", "customerUserErrors", "checkoutUserErrors"])
@pytest.mark.parametrize(
    ("refused", "text"),
    [
        ([{"field": ["input", "sku"], "message": "is taken"}], "refused: input.sku: is taken"),
        ([{"field": None, "message": "is taken"}], "refused: is taken"),
        ({"field": "sku", "message": "is taken"}, "refused: sku: is taken"),
        ("is taken", "refused: is taken"),
    ],
)
async def test_user_errors_of_all_names_and_forms_are_a_refusal(name: str, refused: Any, text: str) -> None:
    outcome, _ = await outcome_of({"data": {"create": {"id": 1, name: refused}}})
    assert isinstance(outcome, Trash)
    assert outcome.reason.endswith(text)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({"error_code": "ComplexityException", "error_message": "Budget exhausted, reset in 22 seconds"}, 22),
        ({"error_code": "ComplexityException", "error_message": "x", "error_data": {"retry_in_seconds": 9}}, 9),
        ({"errors": [{"message": "x", "extensions": {"code": "RATE_LIMIT_EXCEEDED", "retry_in_seconds": "7"}}]}, 7),
        ({"error_code": "maxConcurrencyExceeded"}, 60),
    ],
)
async def test_monday_says_in_its_own_form_when_to_go_on(answer: Any, seconds: int) -> None:
    outcome, _ = await outcome_of(answer)
    assert isinstance(outcome, Repeat)
    assert outcome.after == timedelta(seconds=seconds)


async def test_an_error_in_mondays_form_goes_to_the_trash() -> None:
    outcome, _ = await outcome_of({"error_code": "InvalidColumnIdException", "error_message": "no such column"})
    assert isinstance(outcome, Trash)
    assert outcome.reason.endswith("answered 200: no such column")


async def test_the_data_beside_errors_is_on_the_error() -> None:
    class Asking(Connector[Any, Any]):
        name = "asking"
        application = Shop

        async def process(self, message: Message[Any]) -> Message[Any]:
            try:
                await self.graphql("query", path="/graphql")
            except GraphQLFailed as error:
                return message.with_data([error.data, len(error.errors)])
            raise AssertionError("no error")

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"a": 1, "b": None}, "errors": [{"message": "b failed"}]})

    async with bench(answer) as at:
        assert data_of(await at.call(Asking(), {})) == [{"a": 1, "b": None}, 1]


@pytest.mark.parametrize(
    ("connection", "items"),
    [
        ({"nodes": None}, []),
        ({"edges": None}, []),
        ({"nodes": None, "edges": [{"node": 1}]}, [1]),
        (None, []),
        ([1, 2], [1, 2]),
    ],
)
def test_connections_without_nodes_are_empty(connection: Any, items: list[Any]) -> None:
    assert nodes_of(connection) == items


@pytest.mark.parametrize("connection", ["text", 7, {}, {"totalCount": 3}, {"nodes": "text"}, {"nodes": {"id": 1}}])
def test_what_is_no_connection_gives_no_items(connection: Any) -> None:
    with pytest.raises(ReplyUnreadable):
        nodes_of(connection)
