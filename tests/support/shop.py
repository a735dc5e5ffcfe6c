"""A shop with its actions, as an author would write them."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from applications import Application
from connectors import Batch, Connector, CustomNode, Message, Page


class Shop(Application):
    """A shop that knows its callers by a key."""

    key = "shop"
    base_url = "https://shop.example/api"
    headers = {"Authorization": "Bearer s3cr3t-key"}  # noqa: RUF012 - as an author writes it


class OrderId(BaseModel):
    """Which order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": 17}]})

    id: int


class Order(BaseModel):
    """An order."""

    id: int
    total: float


class GetOrder(Connector[OrderId, Order]):
    """GET /orders/{id}."""

    name = "shop-get-order"
    application = Shop

    async def process(self, message: Message[OrderId]) -> Message[Order]:
        """Ask for the order."""
        response = await self.get("/orders/{id}", message.data, params={"api_key": "s3cr3t-param"})
        return message.with_data(response.model(Order))


class ListOrders(Batch[Any, Order]):
    """GET /orders, page by page."""

    name = "shop-list-orders"
    application = Shop

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        """Ask for a page."""
        reply = (await self.get("/orders", params={"after": cursor or ""})).json()
        return Page(reply["orders"], next_cursor=reply["next"])


class AddVat(CustomNode[Order, Order]):
    """Adds value-added tax."""

    name = "add-vat"

    async def process(self, message: Message[Order]) -> Message[Order]:
        """Return the order with tax."""
        return message.with_data(message.data.model_copy(update={"total": round(message.data.total * 1.21, 2)}))


PAGES = ({"orders": [{"id": 1, "total": 5}], "next": "1"}, {"orders": [{"id": 2, "total": 7}], "next": None})
