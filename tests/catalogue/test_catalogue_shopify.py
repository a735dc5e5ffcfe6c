"""Shopify's endpoints, on a service that behaves like it."""

from datetime import timedelta
from typing import Any

from aiohttp import web
from support.calls import Bench, bench, data_of

from connectors import Page, Repeat, Stop, Trash
from connectors.catalogue import shopify
from connectors.rate import RateNotice
from connectors.trail import TRAIL_HEADER

ADMIN = "/admin/api/2024-01"
ACCESS = {"headers": {"X-Shopify-Access-Token": "shpat_secret"}}


class ShopifyServer:
    """REST with a leaky bucket of forty, GraphQL with a thousand points."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.used = 0
        self.points = 1000

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        assert request.headers["X-Shopify-Access-Token"] == "shpat_secret"
        body = await request.json() if request.can_read_body else None
        path = request.path.removeprefix(ADMIN)
        self.asked.append((request.method, request.path_qs.removeprefix(ADMIN), body))
        if path == "/graphql.json":
            return self._graphql(body)
        self.used += 1
        if self.used > 40:
            return web.json_response(
                {"errors": "Exceeded 2 calls per second"}, status=429, headers={"Retry-After": "4"}
            )
        reply = self._rest(request, path, body)
        reply.headers["X-Shopify-Shop-Api-Call-Limit"] = f"{self.used}/40"
        return reply

    def _rest(self, request: web.Request, path: str, body: Any) -> web.Response:
        match request.method, path:
            case "GET", "/orders.json" | "/products.json":
                return self._page(request, path)
            case "GET", "/orders/7.json":
                return web.json_response({"order": {"id": 7, "name": "#7", "note": "kept"}})
            case "PUT", "/orders/7.json":
                return web.json_response({"order": {**body["order"], "id": 7}})
            case "GET", "/variants/3.json":
                return web.json_response({"variant": {"id": 3, "sku": "a"}})
            case "GET", "/locations.json":
                return web.json_response({"locations": [{"id": 1, "name": "Prague"}]})
            case "POST", "/inventory_levels/set.json":
                return web.json_response({"inventory_level": body})
            case "GET", "/orders/7/fulfillment_orders.json":
                return web.json_response({"fulfillment_orders": [{"id": 70, "order_id": 7, "status": "open"}]})
            case "POST", "/fulfillments.json" | "/fulfillments/5/update_tracking.json":
                return web.json_response({"fulfillment": {"id": 5, **body["fulfillment"]}}, status=201)
            case "POST", "/orders/7/fulfillments/5/events.json":
                return web.json_response({"fulfillment_event": body["event"]}, status=201)
        return web.json_response({"errors": "Not Found"}, status=404)

    def _page(self, request: web.Request, path: str) -> web.Response:
        at = int(request.query.get("page_info", 1))
        kind = path[1:].removesuffix(".json")
        url = f"{request.scheme}://{request.host}{request.path}?limit=100&page_info={at + 1}"
        headers = {"Link": f'<{url}>; rel="next"'} if at < 3 else {"Link": f'<{url}>; rel="previous"'}
        return web.json_response({kind: [{"id": at, "title": f"product {at}"}]}, headers=headers)

    def _graphql(self, body: Any) -> web.Response:
        status = {"maximumAvailable": 1000, "currentlyAvailable": self.points, "restoreRate": 50}
        cost = {"cost": {"requestedQueryCost": 200, "throttleStatus": status}}
        if self.points < 200:
            error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return web.json_response({"errors": [error], "extensions": cost})
        variables = body["variables"]
        if "productCreate" in body["query"]:
            refused = [{"field": ["title"], "message": "can't be blank"}] if not variables["input"].get("title") else []
            made = None if refused else {"id": "gid://shopify/Product/1", **variables["input"]}
            data: Any = {"productCreate": {"product": made, "userErrors": refused}}
        elif "orders(" in body["query"]:
            at = int(variables["after"] or 1)
            info = {"hasNextPage": at < 3, "endCursor": str(at + 1)}
            data = {"orders": {"nodes": [{"id": f"gid://shopify/Order/{at}", "name": f"#{at}"}], "pageInfo": info}}
        else:
            data = {"product": {"id": variables["id"], "title": "Cup", "status": "ACTIVE"}}
        return web.json_response({"data": data, "extensions": cost})


def serving(server: ShopifyServer) -> Any:
    return bench(server.answer, access=ACCESS, path=ADMIN)


async def walk(at: Bench, action: Any, data: Any) -> list[Any]:
    headers: dict[str, str] = {}
    items: list[Any] = []
    while True:
        page: Any = await at.call(action, data, **headers)
        assert isinstance(page, Page), page
        items += page.items
        if page.next_cursor is None:
            return items
        headers = {"cursor": page.next_cursor, TRAIL_HEADER: page.trail}


async def test_rest_endpoints_take_and_give_shopifys_objects() -> None:
    server = ShopifyServer()
    async with serving(server) as at:
        assert data_of(await at.call(shopify.get_order, {"id": 7}))["note"] == "kept"
        changed = await at.call(shopify.update_order, {"id": 7, "note": "new", "tags": "a"})
        assert data_of(changed)["tags"] == "a"
        assert server.asked[-1] == ("PUT", "/orders/7.json", {"order": {"note": "new", "tags": "a"}})
        assert data_of(await at.call(shopify.get_variant, {"id": 3}))["sku"] == "a"
        assert data_of(await at.call(shopify.get_locations, {})) == [{"id": 1, "name": "Prague", "active": True}]
        stock = {"inventory_item_id": 1, "location_id": 2, "available": 3}
        assert data_of(await at.call(shopify.set_stock, stock)) == stock
        assert data_of(await at.call(shopify.get_fulfillment_orders, {"id": 7}))[0]["id"] == 70
        sent = {"fulfillment": {"line_items_by_fulfillment_order": [{"fulfillment_order_id": 70}]}}
        assert data_of(await at.call(shopify.create_fulfillment, sent))["id"] == 5
        assert data_of(await at.call(shopify.update_tracking, {"id": 5, "fulfillment": {"status": "sent"}}))["id"] == 5
        assert server.asked[-1][2] == {"fulfillment": {"status": "sent"}}
        event = await at.call(shopify.create_fulfillment_event, {"orderId": 7, "id": 5, "status": "in_transit"})
        assert data_of(event) == {"fulfillment_event": {"status": "in_transit"}}


async def test_what_is_gone_ends_the_branch() -> None:
    async with serving(ShopifyServer()) as at:
        assert isinstance(await at.call(shopify.get_order, {"id": 8}), Stop)
        assert isinstance(await at.call(shopify.get_variant, {"id": 8}), Trash)


async def test_rest_lists_follow_the_link_header() -> None:
    server = ShopifyServer()
    async with serving(server) as at:
        assert [order.id for order in await walk(at, shopify.list_orders, {"status": "any"})] == [1, 2, 3]
        assert [product.id for product in await walk(at, shopify.list_products, {})] == [1, 2, 3]
    assert server.asked[0][1] == "/orders.json?status=any&limit=100"
    assert server.asked[1][1] == "/orders.json?limit=100&page_info=2"


async def test_the_bucket_is_told_to_the_limiter_and_a_full_one_repeats() -> None:
    server = ShopifyServer()
    async with serving(server) as at:
        await at.call(shopify.get_variant, {"id": 3}, user="bob")
        assert at.notices == [RateNotice("shopify", "bob", None, 39, None)]
        server.used = 40
        outcome: Any = await at.call(shopify.get_variant, {"id": 3})
    assert isinstance(outcome, Repeat)
    assert outcome.after == timedelta(seconds=4)


async def test_graphql_queries_mutations_and_connections() -> None:
    server = ShopifyServer()
    async with serving(server) as at:
        product = await at.call(shopify.get_product, {"id": "gid://shopify/Product/1"})
        assert data_of(product) == {"id": "gid://shopify/Product/1", "title": "Cup", "status": "ACTIVE"}
        found = await walk(at, shopify.search_orders, {"query": "status:open"})
        assert [order.name for order in found] == ["#1", "#2", "#3"]
        created = await at.call(shopify.create_product, {"input": {"title": "Mug"}})
        assert data_of(created)["title"] == "Mug"
        refused = await at.call(shopify.create_product, {"input": {}})
        assert isinstance(refused, Trash)
        assert "refused: title: can't be blank" in refused.reason


async def test_a_throttled_query_waits_for_its_points() -> None:
    server = ShopifyServer()
    server.points = 50
    async with serving(server) as at:
        outcome: Any = await at.call(shopify.get_product, {"id": "x"})
    assert isinstance(outcome, Repeat)
    assert outcome.after == timedelta(seconds=3)
    assert at.notices == [RateNotice("shopify", "alice", 3, 50, None)]
