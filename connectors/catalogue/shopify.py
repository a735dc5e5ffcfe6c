"""Shopify's endpoints: REST with a leaky bucket, and GraphQL with costs and connections.

https://shopify.dev/docs/api/admin-rest, https://shopify.dev/docs/api/admin-graphql
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from applications.catalogue.shopify import Shopify
from connectors.bodies import JsonBody
from connectors.connection import Connection
from connectors.endpoints import Endpoints
from connectors.paging import LinkHeader
from connectors.rules import Rules


class ShopifyModel(BaseModel):
    """What Shopify gives; fields that are not named here travel on."""

    model_config = ConfigDict(extra="allow")


class Order(ShopifyModel):
    """An order."""

    id: int
    name: str = ""
    email: str | None = None
    financial_status: str | None = None
    total_price: str | None = None
    currency: str | None = None
    line_items: list[dict[str, Any]] = []


class Product(ShopifyModel):
    """A product with its variants."""

    id: int
    title: str
    variants: list[dict[str, Any]] = []


class Variant(ShopifyModel):
    """A variant of a product."""

    id: int
    product_id: int | None = None
    sku: str | None = None
    inventory_item_id: int | None = None


class Location(ShopifyModel):
    """A place that holds stock."""

    id: int
    name: str
    active: bool = True


class Fulfillment(ShopifyModel):
    """What has been sent of an order."""

    id: int
    order_id: int | None = None
    status: str | None = None


class FulfillmentOrder(ShopifyModel):
    """What is to be sent of an order from one place."""

    id: int
    order_id: int | None = None
    status: str | None = None


class InventoryLevel(ShopifyModel):
    """The stock of one item at one place."""

    inventory_item_id: int
    location_id: int
    available: int | None = None


class Id(BaseModel, json_schema_extra={"examples": [{"id": 17}]}):
    """Which one."""

    id: int


class OrderQuery(BaseModel, json_schema_extra={"examples": [{"since": "2026-01-01T00:00:00Z", "status": "any"}]}):
    """Which orders."""

    since: datetime | None = None
    """Created since."""
    ids: str | None = None
    """Separated by commas."""
    status: str | None = None
    """`open`, `closed`, `cancelled` or `any`; open without."""


class ProductQuery(BaseModel, json_schema_extra={"examples": [{"since": "2026-01-01T00:00:00Z"}]}):
    """Which products."""

    since: datetime | None = None
    """Created since."""


class Stock(BaseModel, json_schema_extra={"examples": [{"inventory_item_id": 1, "location_id": 2, "available": 30}]}):
    """The stock that an item shall have at a place."""

    inventory_item_id: int
    location_id: int
    available: int


class NewFulfillment(
    BaseModel,
    json_schema_extra={
        "examples": [{"fulfillment": {"line_items_by_fulfillment_order": [{"fulfillment_order_id": 70}]}}]
    },
):
    """What is sent: lines of fulfillment orders and tracking, as Shopify's documentation has it."""

    fulfillment: dict[str, Any]


class FulfillmentEvent(BaseModel, json_schema_extra={"examples": [{"orderId": 17, "id": 5, "status": "in_transit"}]}):
    """What has become of a parcel."""

    orderId: int  # noqa: N815 - the name that topologies know
    id: int
    status: str


class Tracking(
    BaseModel, json_schema_extra={"examples": [{"id": 5, "fulfillment": {"tracking_info": {"number": "1Z"}}}]}
):
    """How a parcel is followed."""

    id: int
    fulfillment: dict[str, Any]


class OrderChange(BaseModel):
    """What to change of an order; any field of Shopify's order."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"id": 17, "note": "call first"}]})

    id: int


class ProductRef(BaseModel, json_schema_extra={"examples": [{"id": "gid://shopify/Product/1"}]}):
    """Which product, by its global id: `gid://shopify/Product/1`."""

    id: str


class SearchQuery(BaseModel, json_schema_extra={"examples": [{"query": "status:open"}]}):
    """Which orders, in Shopify's search syntax: `status:open updated_at:>2026-01-01`."""

    query: str | None = None


class OrderNode(ShopifyModel):
    """An order as GraphQL gives it."""

    id: str
    name: str
    updatedAt: datetime | None = None  # noqa: N815 - Shopify's name


class ProductNode(ShopifyModel):
    """A product as GraphQL gives it."""

    id: str
    title: str
    status: str | None = None


class NewProduct(BaseModel, json_schema_extra={"examples": [{"input": {"title": "Mug"}}]}):
    """A product to create, with the fields of `ProductInput`."""

    input: dict[str, Any]


PRODUCT = """query Product($id: ID!) {
  product(id: $id) { id title status totalInventory }
}"""

ORDERS = """query Orders($query: String, $after: String) {
  orders(first: 100, query: $query, after: $after, sortKey: UPDATED_AT) {
    nodes { id name updatedAt displayFinancialStatus }
    pageInfo { hasNextPage endCursor }
  }
}"""

CREATE_PRODUCT = """mutation CreateProduct($input: ProductInput!) {
  productCreate(input: $input) { product { id title status } userErrors { field message } }
}"""

GONE = Rules(stop=404)
"""What is not there any more needs no more work."""

shopify = Endpoints(Shopify, graphql_path="/graphql.json")
pages = LinkHeader(size_param="limit", size=100)

list_orders = shopify.list(
    "shopify-get-order-list",
    "/orders.json",
    OrderQuery,
    Order,
    pages=pages,
    at="orders",
    query={"created_at_min": "{since}", "ids": "{ids}", "status": "{status}"},
)
list_products = shopify.list(
    "shopify-get-products-list",
    "/products.json",
    ProductQuery,
    Product,
    pages=pages,
    at="products",
    query={"created_at_min": "{since}"},
)
get_order = shopify.get("shopify-get-order-detail", "/orders/{id}.json", Id, Order, at="order", rules=GONE)
update_order = shopify.put(
    "shopify-update-order", "/orders/{id}.json", OrderChange, Order, body=JsonBody(wrap="order"), at="order"
)
get_variant = shopify.get("shopify-get-variant-detail", "/variants/{id}.json", Id, Variant, at="variant")
get_locations = shopify.get("shopify-get-inventory-location", "/locations.json", Any, list[Location], at="locations")
set_stock = shopify.post(
    "shopify-absolute-update-stock", "/inventory_levels/set.json", Stock, InventoryLevel, at="inventory_level"
)
get_fulfillment_orders = shopify.get(
    "shopify-get-fulfilment-orders",
    "/orders/{id}/fulfillment_orders.json",
    Id,
    list[FulfillmentOrder],
    at="fulfillment_orders",
    rules=GONE,
)
create_fulfillment = shopify.post(
    "shopify-create-fulfillment", "/fulfillments.json", NewFulfillment, Fulfillment, at="fulfillment"
)
create_fulfillment_event = shopify.post(
    "shopify-create-fulfillment-event",
    "/orders/{orderId}/fulfillments/{id}/events.json",
    FulfillmentEvent,
    Any,
    body=JsonBody(wrap="event"),
)
update_tracking = shopify.post(
    "shopify-update-tracking-info", "/fulfillments/{id}/update_tracking.json", Tracking, Fulfillment, at="fulfillment"
)
get_product = shopify.graphql("shopify-get-product", PRODUCT, ProductRef, ProductNode, at="product")
search_orders = shopify.connection(
    "shopify-search-orders", ORDERS, SearchQuery, OrderNode, pages=Connection(at="orders")
)
create_product = shopify.graphql(
    "shopify-create-product", CREATE_PRODUCT, NewProduct, ProductNode, at="productCreate.product"
)
