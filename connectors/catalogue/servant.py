"""Servant's endpoints: a SOAP service that takes user and password in each body and tells failures by a code.

WSDL: https://www.webskladservant.cz/impl/SAPI/V5/?wsdl
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from applications.catalogue.servant import Servant
from applications.http.response import pick, read_list
from connectors.action import Batch, Connector, In, Out, ServiceAction
from connectors.endpoints import Endpoints
from connectors.message import Message
from connectors.outcome import Page, Trash

SERVICE = "/V5/"
FAILED = frozenset({1, 2})
"""Values of `result.resultCode` that mean failure."""


class Warehouse(BaseModel, json_schema_extra={"examples": [{"warehouse": 4}]}):
    """Which warehouse; without, that of the install."""

    warehouse: int | None = None


class InventoryItem(BaseModel):
    """The stock of one product."""

    code: str
    quantity: float


class Carrier(BaseModel):
    """A carrier that parcels may be sent by."""

    id: int
    name: str


class Interval(BaseModel):
    """A span of time."""

    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")


class OrdersByDate(
    Warehouse,
    json_schema_extra={"examples": [{"interval": {"from": "2026-11-01T00:00:00", "to": "2026-11-02T00:00:00"}}]},
):
    """Which orders."""

    interval: Interval


class IssueOrder(BaseModel):
    """An order that leaves, or has left, the warehouse."""

    number: str
    status: str | None = None


class IssueItem(BaseModel):
    """A product of an order and how many of it."""

    code: str
    quantity: float


class Issue(BaseModel):
    """An order to send out."""

    number: str
    items: list[IssueItem] = []


class NewIssue(
    Warehouse, json_schema_extra={"examples": [{"issue": {"number": "17", "items": [{"code": "mug", "quantity": 2}]}}]}
):
    """An order to send out, with documents as base64."""

    issue: Issue
    files: list[str] = []


class Product(BaseModel):
    """A product to be known to the warehouse."""

    code: str
    name: str
    ean: str | None = None


class NewProducts(Warehouse, json_schema_extra={"examples": [{"products": [{"code": "mug", "name": "Mug"}]}]}):
    """Products to be known to the warehouse."""

    products: list[Product]


class ImportResult(BaseModel):
    """What came of an import."""

    number: str | None = None
    accepted: int


class ServantAction(ServiceAction[In, Out]):
    """What all SOAP operations share: who asks, and how a failure is told."""

    application = Servant

    async def ask(self, operation: str, values: Any = None) -> Any:
        """Call an operation and return its result. Raises `Trash` with the service's own words."""
        access = await self.access()
        credentials = {"email": access.fields.get("user"), "password": access.fields.get("password")}
        soap = self.soap(f"{access.base_url}{SERVICE}?wsdl")
        sent = values.model_dump(by_alias=True, exclude_none=True) if values is not None else {}
        if values is not None and "warehouse" not in sent and (own := access.fields.get("warehouse_id")):
            sent["warehouse"] = int(own)
        reply = await soap.call(operation, credentials=credentials, **sent)
        if pick(reply.data, "result.resultCode") in FAILED:
            raise Trash(f"servant {operation}: {pick(reply.data, 'result.resultMessage') or 'refused'}")
        return reply.data


class GetInventory(ServantAction[Warehouse, InventoryItem], Batch[Warehouse, InventoryItem]):
    """The stock of all products of a warehouse, an item each."""

    name = "servant-get-inventory"

    async def page(self, message: Message[Warehouse], cursor: str | None) -> Page:
        """Ask for the one page there is."""
        result = await self.ask("GetInventory", message.data)
        return Page(read_list(InventoryItem, result["inventoryItems"]))


class GetIssueOrdersByDate(ServantAction[OrdersByDate, IssueOrder], Batch[OrdersByDate, IssueOrder]):
    """The orders of an interval, an item each."""

    name = "servant-get-issue-orders-by-date"

    async def page(self, message: Message[OrdersByDate], cursor: str | None) -> Page:
        """Ask for the one page there is."""
        result = await self.ask("GetIssueOrdersByDate", message.data)
        return Page(read_list(IssueOrder, result["orders"]))


class GetCarriers(ServantAction[Any, list[Carrier]], Connector[Any, list[Carrier]]):
    """The carriers that parcels may be sent by."""

    name = "servant-get-carriers"

    async def process(self, message: Message[Any]) -> Message[list[Carrier]]:
        """Ask for the carriers."""
        result = await self.ask("GetCarriers")
        return message.with_data(read_list(Carrier, result["carrierItems"]))


class ImportIssue(ServantAction[NewIssue, ImportResult], Connector[NewIssue, ImportResult]):
    """Hand over an order to send out."""

    name = "servant-import-issue"

    async def process(self, message: Message[NewIssue]) -> Message[ImportResult]:
        """Hand the order over."""
        result = await self.ask("ImportIssue", message.data)
        return message.with_data(ImportResult.model_validate(result["importRequestResult"]))


class ImportProducts(ServantAction[NewProducts, ImportResult], Connector[NewProducts, ImportResult]):
    """Make products known to the warehouse."""

    name = "servant-import-products"

    async def process(self, message: Message[NewProducts]) -> Message[ImportResult]:
        """Hand the products over."""
        result = await self.ask("ImportProducts", message.data)
        return message.with_data(ImportResult.model_validate(result["importRequestResult"]))


get_warehouses = Endpoints(Servant).get(
    "servant-get-warehouses",
    "/rest.php",
    Any,
    Any,
    query={"type": "warehouses"},
    doc="The warehouses; a plain REST call.",
)
